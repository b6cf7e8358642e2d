-- Where HL7 messages begin and end, so that a connection can be ended between two of them.
--
-- MLLP (HL7 v2.5.1, appendix C) wraps each message and each ACK: 0B, the message, 1C 0D.
-- A filter follows both directions. Once a server is to be left it lets no further message
-- begin: what the sender sends next waits here, unseen by the server, until the engine
-- ends the connection. Nothing of a message is kept or logged.
--
-- The servers to leave are in a map, the filter's argument, by SERVICE/SERVER. Loaded once
-- for all threads, which HAProxy lets into Lua one at a time. Valid for HAProxy 2.6 to 3.0.

local BEGIN, FINISH = "\x0B", "\x1C"
local leaving -- the map
local open = setmetatable({}, { __mode = "k" }) -- connections, even should HAProxy tell no end of one

local function now_ms()
  local now = core.now()
  return now.sec * 1000 + now.usec // 1000
end

local Blocks = {}
Blocks.__index = Blocks
Blocks.id = "willis: HL7 blocks"
Blocks.flags = filter.FLT_CFG_FL_HTX

-- inside: whether a message (false) or an ACK (true) has begun and not ended; since: when
-- the last of them began or ended.
function Blocks:new()
  return setmetatable({ waiting = 0, inside = {}, held = false, strange = false, since = now_ms() }, Blocks)
end

function Blocks:start_analyze(txn, chn)
  if self.client == nil then
    self.client = string.format("%s %s:%d", txn.f:fe_name(), txn.f:src(), txn.f:src_port())
    open[self] = true
  end
  filter.register_data_filter(self, chn)
end

function Blocks:end_analyze()
  open[self] = nil
end

function Blocks:state()
  if self.strange then return "strange" end
  if self.waiting > 0 or self.inside[false] or self.inside[true] then return "busy" end
  return self.held and "held" or "quiet"
end

-- For the access log: whether an end now would cut a message, or what we do not know.
function Blocks:note(txn)
  local state = self:state()
  local cuts = state == "busy" or state == "strange"
  if cuts ~= self.cuts then
    self.cuts = cuts
    txn:set_var("txn.hl7_cuts", cuts)
  end
end

local function is_left(txn)
  local server = txn.f:srv_name()
  return server ~= nil and leaving:lookup(txn.f:be_name() .. "/" .. server) ~= nil
end

-- Answers that nobody waits for, such as an ACK once more, count for nothing.
function Blocks:turn(answer, inside)
  self.inside[answer], self.since = inside, now_ms()
  if inside and not answer then self.waiting = self.waiting + 1 end
  if answer and not inside then self.waiting = math.max(0, self.waiting - 1) end
end

-- How many of the bytes may go on.
function Blocks:follow(bytes, answer, txn)
  local at = 1
  while at <= #bytes do
    if self.inside[answer] then
      local last = bytes:find(FINISH, at, true)
      if last == nil then return #bytes end
      self:turn(answer, false)
      at = last + 1
    else
      at = bytes:find("[^\r\n]", at) -- the block's 0D, and line ends that some senders add
      if at == nil then return #bytes end
      if bytes:sub(at, at) ~= BEGIN then
        self.strange = true
        return #bytes
      end
      self.held = not answer and is_left(txn)
      if self.held then return at - 1 end
      self:turn(answer, true)
      at = at + 1
    end
  end
  return #bytes
end

function Blocks:tcp_payload(txn, chn)
  if self.strange then
    filter.unregister_data_filter(self, chn)
    return
  end
  local size = chn:input()
  if size == 0 then return end
  -- An error in a filter would end the connection.
  local sound, passing = pcall(self.follow, self, chn:data(chn:output(), size), chn:is_resp(), txn)
  if not sound then self.strange = true end
  self:note(txn)
  if sound then return passing end
end

core.register_filter("hl7_blocks", Blocks, function(flt, args)
  leaving = leaving or Map.new(args[1], Map._str)
  return flt
end)

core.register_cli({ "show", "hl7" }, "show hl7 : FRONTEND CLIENT STATE MILLISECONDS of HL7 connections",
  function(applet)
    local now = now_ms()
    for one in pairs(open) do
      applet:send(string.format("%s %s %d\n", one.client, one:state(), now - one.since))
    end
  end)
