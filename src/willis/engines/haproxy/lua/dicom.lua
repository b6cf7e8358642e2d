-- What HAProxy's own rules cannot do for DICOM (PS3.8 upper layer, PS3.7 commands).
--
-- Services reject an association in order; an action lets the associations of one
-- calling AE title wait; filters rename the called AE title and count the statuses
-- that real servers answer. Nothing of a data set is kept or logged.
--
-- Loaded once for all threads: they share the tables below, and HAProxy lets only one
-- thread at a time into Lua. Valid for HAProxy 2.6 to 3.0.

local HEAD = 74            -- bytes of an A-ASSOCIATE-RQ up to its items
local CALLED, TITLE = 10, 16 -- where the called AE title is, and how long titles are
local POLL_MS = 50
local WINDOW_S = 60        -- refusals older than this are forgotten
local LONGEST_COMMAND = 4096 -- bytes; real ones have about 200

-- A-ASSOCIATE-RJ (PS3.8, 9.3.4): result 1 permanent, 2 transient; source; reason.
local function rejection(result, source, reason)
  return string.char(3, 0, 0, 0, 0, 4, 0, result, source, reason)
end

local function reject(result, source, reason)
  local pdu = rejection(result, source, reason)
  return function(applet)
    applet:receive(HEAD)
    applet:send(pdu)
  end
end

core.register_service("dicom_called", "tcp", reject(1, 1, 7))  -- called AE title not recognised
core.register_service("dicom_calling", "tcp", reject(1, 1, 3)) -- calling AE title not recognised
core.register_service("dicom_busy", "tcp", reject(2, 3, 1))    -- temporary congestion
core.register_service("dicom_limit", "tcp", reject(2, 3, 2))   -- local limit exceeded

-- HAProxy recounts the servers of a pool from zero whenever one changes, without a lock
-- against who asks: before a client is sent away the question is put again.
core.register_action("dicom_again", { "tcp-req" }, function() core.msleep(POLL_MS) end)

-- Associations of one calling AE title wait for their place.
--
-- The stick table counts who is open (conn_cur) and who ever entered (conn_cnt). The
-- rule after this action enters; those on their way between the two are what we let
-- through more often than the table has seen.
local passes = {}

-- What clients called themselves once is not kept for ever.
core.register_task(function()
  while true do
    core.sleep(WINDOW_S)
    for place, pass in pairs(passes) do
      if core.now().sec - pass.at > WINDOW_S and pass.stick:lookup(pass.title) == nil then passes[place] = nil end
    end
  end
end)

local function open(stick, place, title)
  local entry = stick:lookup(title)
  local pass = passes[place]
  if entry == nil then
    if pass == nil or pass.seen then
      pass = { count = 0, seen = false, stick = stick, title = title, at = core.now().sec }
      passes[place] = pass
    end
    return pass.count, pass
  end
  if pass == nil then
    pass = { count = entry.conn_cnt, stick = stick, title = title, at = core.now().sec }
    passes[place] = pass
  end
  pass.seen = true
  return entry.conn_cur + pass.count - entry.conn_cnt, pass
end

core.register_action("dicom_wait", { "tcp-req" }, function(txn, name, cap, wait_s)
  local title = txn:get_var("sess.calling")
  if title == nil then return end
  local stick = core.proxies[name].stktable
  local place = name .. " " .. title
  local give_up = core.now().sec + tonumber(wait_s)
  -- HAProxy ends this function when inspect-delay does, and goes on with the next rule:
  -- whoever was not let in must then be known to have waited in vain.
  txn:set_var("txn.waited", 1)
  repeat
    local count, pass = open(stick, place, title)
    if count < tonumber(cap) then
      pass.count = pass.count + 1
      txn:unset_var("txn.waited")
      return
    end
    core.msleep(POLL_MS)
  until core.now().sec >= give_up
end, 3)

-- The called AE title that servers see (txn.rename). In the first PDU, once.
local Rename = {}
Rename.__index = Rename
Rename.id = "willis: called AE title"
Rename.flags = filter.FLT_CFG_FL_HTX

function Rename:new()
  return setmetatable({}, Rename)
end

function Rename:start_analyze(txn, chn)
  if not chn:is_resp() then filter.register_data_filter(self, chn) end
end

function Rename:tcp_payload(txn, chn)
  local title = txn:get_var("txn.rename")
  if title ~= nil and chn:input() >= CALLED + TITLE then
    chn:set(title .. string.rep(" ", TITLE - #title), chn:output() + CALLED, TITLE)
  end
  filter.unregister_data_filter(self, chn)
end

core.register_filter("dicom_rename", Rename, function(flt, args) return flt end)

-- The statuses that servers answer.
local refusals = {} -- by "service server command status": seconds with their numbers, and the last one

local function refuse(txn, command, status)
  local server = txn.f:srv_name()
  if server == nil then return end -- our own word
  local place = string.format("%s %s %04X %04X", txn.f:be_name(), server, command, status)
  local now = core.now().sec
  local found = refusals[place] or { seconds = {} }
  refusals[place] = found
  for second in pairs(found.seconds) do
    if second <= now - WINDOW_S then found.seconds[second] = nil end
  end
  found.seconds[now] = (found.seconds[now] or 0) + 1
  found.at = now
end

core.register_cli({ "show", "dimse" }, "show dimse : SERVICE SERVER COMMAND STATUS COUNT SECONDS of refusals",
  function(applet)
    local now = core.now().sec
    for place, found in pairs(refusals) do
      local count = 0
      for second, number in pairs(found.seconds) do
        if second > now - WINDOW_S then count = count + number end
      end
      if count > 0 then
        applet:send(string.format("%s %d %d\n", place, count, now - found.at))
      else
        refusals[place] = nil
      end
    end
  end)

-- The status (0000,0900) of a command set, which is always implicit VR little endian, and
-- its command field (0000,0100).
local function status_of(command)
  local at, field = 1, 0
  while at + 7 <= #command do
    local group, element, length = string.unpack("<I2I2I4", command, at)
    if group ~= 0 or element > 0x0900 then return nil end
    if element == 0x0100 or element == 0x0900 then
      if length ~= 2 or at + 9 > #command then return nil end
      local value = string.unpack("<I2", command, at + 8)
      if element == 0x0900 then return value, field end
      field = value
    end
    at = at + 8 + length
  end
  return nil
end

-- Success, pending, warnings and what the client itself cancelled (PS3.7, annex C).
local function good(status)
  return status == 0 or status == 0xFF00 or status == 0xFF01 or status == 0xFE00 or status == 0x0001
    or status == 0x0107 or status == 0x0116 or status & 0xF000 == 0xB000
end

local Statuses = {}
Statuses.__index = Statuses
Statuses.id = "willis: DIMSE statuses"
Statuses.flags = filter.FLT_CFG_FL_HTX

function Statuses:new()
  return setmetatable({ skip = 0, want = 6, held = "", command = "", left = 0, ok = 0, bad = 0 }, Statuses)
end

function Statuses:start_analyze(txn, chn)
  if chn:is_resp() then filter.register_data_filter(self, chn) end
end

function Statuses:take(status, field, txn)
  if good(status) then
    self.ok = self.ok + 1
    return
  end
  self.bad = self.bad + 1
  self.last = string.format("%04X", status)
  if status & 0xFF00 == 0xA700 then refuse(txn, field, status) end
end

-- The part of a PDU that ``want`` asked for is there. False: this is not DICOM.
function Statuses:step(held, txn)
  if self.fragment then -- of a command
    self.command = self.command .. held
    if #self.command > LONGEST_COMMAND then return false end
    if self.fragment & 2 ~= 0 then
      local status, field = status_of(self.command)
      self.command = ""
      if status then self:take(status, field, txn) end
    end
    self.fragment = nil
  elseif self.rejected then -- result, source, reason: A-ASSOCIATE-RJ (PS3.8, 9.3.4)
    local _, result, source, reason = string.unpack("BBBB", held)
    if result == 2 then refuse(txn, 0, source << 8 | reason) end -- transient
    return false -- nothing follows
  elseif self.left > 0 then -- the head of a PDV: length, context, control
    local length, _, control = string.unpack(">I4BB", held)
    if length < 2 or length + 4 > self.left then return false end
    self.left = self.left - length - 4
    if control & 1 == 0 then
      self.skip = length - 2
    elseif length > 2 then
      self.fragment, self.want = control, length - 2
      return length - 2 <= LONGEST_COMMAND
    end
  else -- the head of a PDU: type, reserved, length
    local kind, _, length = string.unpack(">BBI4", held)
    if kind < 1 or kind > 7 then return false end
    if kind == 3 and length == 4 then
      self.rejected, self.want = true, 4
      return true
    end
    if kind == 4 then self.left = length else self.skip = length end
  end
  self.want = 6
  return true
end

-- Only what must be read is copied out of the channel: pixels are stepped over.
function Statuses:walk(txn, chn)
  local from, size, at = chn:output(), chn:input(), 0
  while at < size do
    if self.skip > 0 then
      local step = math.min(self.skip, size - at)
      self.skip, at = self.skip - step, at + step
    else
      local part = chn:data(from + at, math.min(self.want - #self.held, size - at))
      self.held, at = self.held .. part, at + #part
      if #self.held == self.want then
        local held = self.held
        self.held = ""
        if not self:step(held, txn) then return false end
      end
    end
  end
  return true
end

function Statuses:tcp_payload(txn, chn)
  local ok, bad = self.ok, self.bad
  -- An error in a filter would end the association; counting is not worth that.
  local sound, dicom = pcall(self.walk, self, txn, chn)
  if not (sound and dicom) then filter.unregister_data_filter(self, chn) end
  if self.ok ~= ok then txn:set_var("sess.dimse_ok", self.ok) end
  if self.bad ~= bad then
    txn:set_var("sess.dimse_bad", self.bad)
    txn:set_var("sess.dimse_last", self.last)
  end
end

core.register_filter("dicom_statuses", Statuses, function(flt, args) return flt end)
