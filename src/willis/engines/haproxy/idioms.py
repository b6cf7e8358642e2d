"""Blocks of HAProxy configuration that never vary, with their reasons. Valid on 2.6 and 3.0.

They reach the file as comments too, so that whoever reads it sees why a line is there.
"""

from __future__ import annotations

from enum import Enum


class Idiom(Enum):
    """Fixed text; no value is ever put into it."""

    HEAD = """
# Written by Willis from the site document. Changes made here by hand are undone.
# Weights, drains and verdicts are not in this file: they are set over the runtime
# socket, and the server-state file brings them back after a reload.
"""

    GLOBAL = """
    # An old worker must outlive the longest association or download.
    hard-stop-after 24h
    localpeer willis
"""

    ONE_THREAD = """
    # Before 3.0 threads that begin streams with a Lua filter at the same moment corrupt Lua's stack.
    nbthread 1
"""

    HTTP_DEFAULTS = """
    mode http
    option http-keep-alive
    # On a reload idle connections are closed with their next response: no request fails.
    option idle-close-on-response
    option redispatch 1
    retries 2
    retry-on conn-failure
    timeout connect 5s
    # For the next bytes of a body; a server may work for much longer.
    timeout client 1m
    timeout server 1h
    timeout tunnel 12h
    timeout http-request 10s
    timeout http-keep-alive 30s
    timeout queue 30s
    timeout client-fin 30s
    timeout server-fin 30s
    load-server-state-from-file global
    http-error status 503 content-type "text/html; charset=utf-8" string '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Not available at the moment</title><style>:root{color-scheme:light dark}body{margin:0;min-height:100vh;display:grid;place-items:center;font:1.0625rem/1.5 system-ui,sans-serif}main{max-width:32rem;padding:2rem}h1{font-size:1.375rem;margin:0 0 .5rem}p{margin:0}</style><main role="alert"><h1>This service is not available at the moment</h1><p>None of its servers can answer. Please try again in a minute; if it stays away, call your PACS administrator.</p></main></html>' hdr Retry-After 30
"""  # noqa: E501 - HAProxy knows no continuation lines

    HTTP_GUARD = r"""
    # What smuggles or confuses is refused or taken away before it reaches a server.
    option http-restrict-req-hdr-names delete
    option disable-h2-upgrade
    http-request deny deny_status 400 if !{ req.ver -m str 1.1 2.0 1.0 }
    http-request deny deny_status 405 if { method TRACE TRACK CONNECT }
    http-request deny deny_status 400 if { path -m reg -i '[\x00\\]|%(?:00|0a|0d)|(?:/|%2f|%5c)(?:\.|%2e){1,2}(?:/|%2f|%5c|;|%3b|\z)' }
    http-request deny deny_status 400 if !{ req.fhdr(host) -m reg '^([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?\z' }
    # One look tells whether a request has anything of what is judged below; most have not.
    http-request set-var(txn.odd) bool(true) if { req.hdrs -m reg '(?m)[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|^(?:transfer-encoding|upgrade|http2-settings|forwarded|proxy|true-client-ip):|^connection: (?!(?i:keep-alive|close)\r)|^expect: (?!(?i:100-continue)\r)|^x-(?:forwarded|real-ip|original|rewrite|client-ip|cluster-client-ip)' }
    http-request deny deny_status 400 if { var(txn.odd) -m found } { req.hdrs -m reg '(?m)[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|^transfer-encoding: (?!(?i:chunked)\r)|^expect: (?!(?i:100-continue)\r)|^upgrade:(?s:.*)^upgrade:' } or { var(txn.odd) -m found } { req.fhdr(transfer-encoding) -m found } HTTP_1.0
    # Only WebSocket may take over a connection, and Connection names no header to be dropped on the way.
    http-request del-header Upgrade if { var(txn.odd) -m found } !{ req.fhdr(upgrade) -m str -i websocket }
    http-request del-header '^(?:connection|http2-settings)$' -m reg if { var(txn.odd) -m found }
    http-request set-header Connection Upgrade if { var(txn.odd) -m found } { req.fhdr(upgrade) -m found }
"""  # noqa: E501 - HAProxy knows no continuation lines

    LENGTH_REQUIRED = """
    http-request return status 411 if { method POST PUT PATCH } !{ req.fhdr(content-length) -m found }
    http-request return status 411 if { req.fhdr(transfer-encoding) -m found }
    # Over HTTP/2 any request may have a body and say nothing of it. Upgrade is WebSocket, which has none.
    http-request wait-for-body time 10s at-least 1 if { fc_http_major 2 } !{ req.fhdr(content-length) -m found } !{ req.fhdr(upgrade) -m found }
    http-request return status 411 if { fc_http_major 2 } !{ req.fhdr(content-length) -m found } !{ req.fhdr(upgrade) -m found } { req.body_len gt 0 }
"""  # noqa: E501 - HAProxy knows no continuation lines

    DICOM_TITLES = """
    tcp-request content set-var(sess.called) req.payload(10,16),ltrim(" "),rtrim(" ")
    tcp-request content set-var(sess.calling) req.payload(26,16),ltrim(" "),rtrim(" ")
"""

    DICOM_FIRST_BYTES = """
    # An association begins with 01 and is no longer than 1 MB; anything else harms fragile servers.
    tcp-request content reject if { req.len ge 1 } !{ req.payload(0,1) -m bin 01 }
    tcp-request content reject if { req.len ge 6 } !{ req.payload(2,2),hex -m reg ^000[0-9A-F]$ }
    tcp-request content reject if { req.len ge 6 } { req.payload(2,4),hex -m reg ^000000([0-3][0-9A-F]|4[0-3])$ }
    # Version 1, and titles that end where HAProxy takes them to end.
    tcp-request content reject if { req.len ge 8 } !{ req.payload(7,1),be2dec(:,1),and(1) -m int 1 }
    tcp-request content reject if { req.len ge 42 } !{ req.payload(10,16),hex -m reg ^([2-7][0-9A-F])+(00)*$ }
    tcp-request content reject if { req.len ge 42 } !{ req.payload(26,16),hex -m reg ^([2-7][0-9A-F])+(00)*$ }
"""  # noqa: E501

    DICOM_BOUND = """
    tcp-request content use-service lua.dicom_calling if { req.len ge 74 } !{ ssl_c_s_dn(cn),strcmp(sess.bound) eq 0 }
"""  # noqa: E501

    DICOM_WAITED = """
    tcp-request content use-service lua.dicom_limit if { var(txn.waited) -m found }
"""

    DICOM_ACCEPT = """
    tcp-request content accept if { req.len ge 74 }
"""

    DICOM_NOTHING_ELSE = """
    tcp-request content reject
"""

    DICOM_COUNT = """
    stick-table type string len 16 size 100k expire 1h store conn_cur,conn_cnt
"""

    LOG_RING = """
    # Lines wait here until the engine fetches them; the oldest go, and no client waits.
    format raw
    maxlen 2048
    size 4194304
"""

    LOG = """
    log ring@access len 2048 format raw local0
    # Whoever connects and says nothing, such as a check of others, is no access.
    option dontlognull
    error-log-format '["e",%[date(0,ms)],"%f","%ci","%[fc_err_str]","%[ssl_fc_err_str]"]'
"""

    LOG_HTTP = """
    log-format '["h",%[date(0,ms)],"%f","%b","%s","%ci",%ST,%TR,%Tw,%Tc,%Tr,%Ta,%U,%B,"%ts","%HM","%[capture.req.uri,field(1,?),json(utf8s)]","%HV","%sslv"]'
"""  # noqa: E501

    LOG_TCP = """
    log-format '["t",%[date(0,ms)],"%f","%b","%s","%ci",%Tw,%Tc,%Tt,%U,%B,"%ts","%sslv"]'
"""

    HL7 = """
    # A sender may close its side right behind its message. While the server is still being connected to,
    # HAProxy takes that for a client that has gone and asked nothing, if a filter reads along (2.6.12).
    tcp-request inspect-delay 1s
    tcp-request content accept if { req.len gt 0 }
"""

    LOG_HL7 = """
    log-format '["m",%[date(0,ms)],"%f","%b","%s","%ci",%Tw,%Tc,%Tt,%U,%B,"%ts","%sslv","%[var(txn.hl7_cuts)]"]'
"""  # noqa: E501

    LOG_DICOM = """
    log-format '["d",%[date(0,ms)],"%f","%b","%s","%ci",%Tw,%Tc,%Tt,%U,%B,"%ts","%sslv","%[var(sess.calling),json(utf8s)]","%[var(sess.called),json(utf8s)]","%[var(sess.dimse_ok)]","%[var(sess.dimse_bad)]","%[var(sess.dimse_last),json(utf8s)]"]'
"""  # noqa: E501

    NOTHING_ELSE = """
    http-request deny deny_status 404
"""

    TCP_DEFAULTS = """
    mode tcp
    # Associations stay idle for hours; keepalives find dead ends and keep firewalls open.
    option clitcpka
    option srvtcpka
    option redispatch 1
    retries 2
    timeout connect 5s
    timeout client 12h
    timeout server 12h
    timeout tunnel 12h
    timeout queue 30s
    timeout client-fin 30s
    timeout server-fin 30s
    load-server-state-from-file global
"""


class Phrase(Enum):
    """Fixed words inside a line."""

    IF_CHOSEN = "if { var(txn.pool) -m found }"
    CHOSEN_POOL = "%[var(txn.pool)]"
    IF_ODD = "if { var(txn.odd) -m found }"
    IF_ODD_UNLESS_TRUSTED = "if { var(txn.odd) -m found } !trusted"
    UNLESS_PROTO_SAID = "unless trusted { req.fhdr(x-forwarded-proto) -m found }"
    UNLESS_PORT_SAID = "unless trusted { req.fhdr(x-forwarded-port) -m found }"
    UNLESS_HOST_SAID = "unless trusted { req.fhdr(x-forwarded-host) -m found }"
    IF_IPV6 = "if { src -m sub : }"
    UNLESS_IPV6 = "unless { src -m sub : }"
    PROTO_HTTP = "X-Forwarded-Proto http"
    PROTO_HTTPS = "X-Forwarded-Proto https"
    PORT = "X-Forwarded-Port %[dst_port]"
    HOST = "X-Forwarded-Host %[req.hdr(host)]"
    FORWARDED_4 = """Forwarded 'for=%[src];proto=%[ssl_fc,iif(https,http)];host="%[req.hdr(host)]"'"""
    FORWARDED_6 = """Forwarded 'for="[%[src]]";proto=%[ssl_fc,iif(https,http)];host="%[req.hdr(host)]"'"""
    CLIENTS_WORDS = (
        "'^(?:forwarded|proxy|true-client-ip|x-(?:forwarded|real-ip|original|rewrite|client-ip|cluster-client-ip).*)$'"
        " -m reg"
    )
    """By what servers are told of a client or of another path; the guard's look knows the same names."""
    SAFE_METHOD = "if { method GET HEAD }"
    HOST_NAME = "req.hdr(host),host_only,lower"
    # As servers read it that drop parameters (Tomcat), know backslashes (IIS) and join slashes (nginx).
    FOLD_PATH = r"""set-var(txn.path) 'path,regsub(";[^/]*",,g),url_dec,regsub("[/\\\\]+",/,g)'"""
    PATH = "var(txn.path)"
    LAX = 'attr "SameSite=Lax"'
    STRICT = 'attr "SameSite=Strict"'
    NONE = 'attr "SameSite=None"'
    CALLING = "var(sess.calling)"
    CALLED = "var(sess.called)"
    SESSION_ID = "payload_lv(43,1)"
    IF_CLIENT_HELLO = "if { req.ssl_hello_type 1 }"
    IF_SERVER_HELLO = "if { res.ssl_hello_type 2 }"
    # Its extension supported_versions says 1.3 (RFC 8446, 4.2.1).
    NO_TLS_13 = "!{ res.payload(0,0),hex -m sub 002B00020304 }"
