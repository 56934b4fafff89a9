-- SPDX-License-Identifier: MIT
--
-- Xenstore for Wireshark and tshark: dissects what `xsproxyctl capture` writes (link type USER0).
--
--     tshark -X lua_script:xenstore.lua -r FILE
--
-- A packet is a frame as xsproxy's trace/frame.h has it: who and when, then struct xsd_sockmsg, then
-- what was kept of its payload. A reply is tied to its request by domain, session and number.

if pcall(Dissector.get, "xenstore") and Dissector.get("xenstore") then
	return -- loaded twice: as a plugin and by -X lua_script
end

local xenstore = Proto("xenstore", "Xenstore")

local FRAME_SIZE, MESSAGE_SIZE = 48, 16
local REQUEST, REPLY, EVENT, LOST = 1, 2, 3, 4
local OURS, CLIENT = 1, 2
local TYPE_ERROR = 16

local kinds = { [REQUEST] = "request", [REPLY] = "reply", [EVENT] = "event", [LOST] = "lost" }

-- A type's name, and the shapes of its request and reply: a letter for each string. p path, t
-- token, m permission, n child's name, w word, v value: all that is left. A star: the last one
-- again and again.
local types = {
	-- made by make generate: types (protocol/requests.def)
	[0] = { "CONTROL", "w*", "w" },
	[1] = { "DIRECTORY", "p", "n*" },
	[2] = { "READ", "p", "v" },
	[3] = { "GET_PERMS", "p", "m*" },
	[4] = { "WATCH", "ptw", "w" },
	[5] = { "UNWATCH", "pt", "w" },
	[6] = { "TRANSACTION_START", "", "w" },
	[7] = { "TRANSACTION_END", "w", "w" },
	[8] = { "INTRODUCE", "www", "w" },
	[9] = { "RELEASE", "w", "w" },
	[10] = { "GET_DOMAIN_PATH", "w", "p" },
	[11] = { "WRITE", "pv", "w" },
	[12] = { "MKDIR", "p", "w" },
	[13] = { "RM", "p", "w" },
	[14] = { "SET_PERMS", "pm*", "w" },
	[15] = { "WATCH_EVENT", "pt", "pt" },
	[16] = { "ERROR", "w", "w" },
	[17] = { "IS_DOMAIN_INTRODUCED", "w", "w" },
	[18] = { "RESUME", "w", "w" },
	[19] = { "SET_TARGET", "ww", "w" },
	[21] = { "RESET_WATCHES", "", "w" },
	[22] = { "DIRECTORY_PART", "pw", "wn*" },
	[23] = { "GET_FEATURE", "w", "w" },
	[24] = { "SET_FEATURE", "ww", "w" },
	[25] = { "GET_QUOTA", "ww", "w" },
	[26] = { "SET_QUOTA", "www", "w" },
	[0x100] = { "QUIESCE", "ww", "w" },
	[0x101] = { "ADD_DOMAIN_WATCHES", "w*", "w" },
	[0x102] = { "GET_DOMAIN_WATCHES", "ww", "w*" },
	[0x103] = { "START_DOMAIN_TRANSACTION", "ww", "w" },
	[0x104] = { "UNQUIESCE", "w", "w" },
	[0x105] = { "HOLD", "w", "w" },
	[0x106] = { "GET_DOMAIN_TRANSACTIONS", "w", "w*" },
	[0x107] = { "GET_DOMAIN_STATE", "ww", "ww" },
	[0x108] = { "RESET_DOMAIN", "w", "w" },
	-- end of types
}

local type_names = {}
for number, type in pairs(types) do
	type_names[number] = type[1]
end

local access = { n = "no access", r = "read", w = "write", b = "read and write" }

-- --- fields

local f = {
	kind = ProtoField.uint16("xenstore.kind", "Kind", base.DEC, kinds),
	ours = ProtoField.bool("xenstore.ours", "Answered by xsproxyd", 16, nil, OURS),
	client = ProtoField.bool("xenstore.client", "Toolstack's socket", 16, nil, CLIENT),
	domid = ProtoField.uint32("xenstore.domid", "Domain"),
	session = ProtoField.uint32("xenstore.session", "Session"),
	stream = ProtoField.uint32("xenstore.stream", "Stream index"),
	number = ProtoField.uint32("xenstore.number", "Number in the session"),
	lost = ProtoField.uint32("xenstore.lost", "Frames lost"),
	time = ProtoField.relative_time("xenstore.time", "Response time"),
	time_proxy = ProtoField.relative_time("xenstore.time_proxy", "In xsproxyd"),
	time_upstream = ProtoField.relative_time("xenstore.time_upstream", "In xenstored"),
	type = ProtoField.uint32("xenstore.type", "Type", base.HEX, type_names),
	op = ProtoField.string("xenstore.op", "Operation"),
	req_id = ProtoField.uint32("xenstore.req_id", "Request id"),
	tx = ProtoField.uint32("xenstore.tx", "Transaction"),
	len = ProtoField.uint32("xenstore.len", "Payload length"),
	cut = ProtoField.uint32("xenstore.cut", "Octets of the payload not captured"),
	payload = ProtoField.bytes("xenstore.payload", "Payload"),
	path = ProtoField.string("xenstore.path", "Path", base.UNICODE),
	token = ProtoField.string("xenstore.token", "Token", base.UNICODE),
	value = ProtoField.string("xenstore.value", "Value", base.UNICODE),
	perm = ProtoField.string("xenstore.perm", "Permission", base.UNICODE),
	child = ProtoField.string("xenstore.child", "Child", base.UNICODE),
	arg = ProtoField.string("xenstore.arg", "Argument", base.UNICODE),
	error = ProtoField.string("xenstore.error", "Error", base.UNICODE),
	request_in = ProtoField.framenum("xenstore.request_in", "Request in", base.NONE,
		frametype.REQUEST),
	response_in = ProtoField.framenum("xenstore.response_in", "Response in", base.NONE,
		frametype.RESPONSE),
}

local letters = {
	p = f.path, t = f.token, v = f.value, m = f.perm, n = f.child, w = f.arg, e = f.error,
}

local x = {
	error = ProtoExpert.new("xenstore.expert.error", "The request got an error",
		expert.group.RESPONSE_CODE, expert.severity.NOTE),
	lost = ProtoExpert.new("xenstore.expert.lost", "Messages are missing here",
		expert.group.SEQUENCE, expert.severity.WARN),
	open = ProtoExpert.new("xenstore.expert.unterminated", "A string has no NUL at its end",
		expert.group.PROTOCOL, expert.severity.WARN),
	unknown = ProtoExpert.new("xenstore.expert.unknown", "Nobody knows such a request",
		expert.group.PROTOCOL, expert.severity.WARN),
	cut = ProtoExpert.new("xenstore.expert.cut", "Not all of the payload was captured",
		expert.group.UNDECODED, expert.severity.CHAT),
	malformed = ProtoExpert.new("xenstore.expert.malformed", "This is no frame of xsproxy's",
		expert.group.MALFORMED, expert.severity.ERROR),
}

local function values(table)
	local list = {}
	for _, value in pairs(table) do
		list[#list + 1] = value
	end
	return list
end

xenstore.fields = values(f)
xenstore.experts = values(x)

-- --- requests and their replies

local streams -- by domain and session, of a guest's ring or a toolstack's socket: 0, 1, ...
local nr_streams
local requests -- by domain, session and number: the last one that began
local exchanges -- by the number of a packet: the exchange that it is part of

function xenstore.init()
	streams, nr_streams = {}, 0
	requests, exchanges = {}, {}
end

-- Which conversation of the file it is: what a session says and hears, in the order in which they
-- begin there, as tcp.stream is for connections.
local function stream_of(frame)
	local key = ("%d %d %s"):format(frame.domid, frame.session, frame.client)

	if not streams[key] then
		streams[key] = nr_streams
		nr_streams = nr_streams + 1
	end
	return streams[key]
end

-- The exchange that a request or reply is part of: request, response (packets), op, path.
local function exchange_of(pinfo, frame)
	local key = ("%d %d %d"):format(frame.domid, frame.session, frame.number)
	local exchange = exchanges[pinfo.number]

	if pinfo.visited or exchange then
		return exchange or {}
	end
	if frame.kind == REQUEST then
		exchange = { request = pinfo.number }
		requests[key] = exchange
	else
		exchange = requests[key] or {}
		exchange.response = pinfo.number
		requests[key] = nil
	end
	exchanges[pinfo.number] = exchange
	return exchange
end

-- --- text

local function hex(octets)
	return (octets:gsub(".", function(octet)
		return ("\\x%02x"):format(octet:byte())
	end))
end

-- How many octets the UTF-8 character at @at has; 0 if it is none.
local function utf8_size(octets, at)
	local first, second = octets:byte(at, at + 1)
	local low, high = 0x80, 0xbf
	local size = first >= 0xf0 and 4 or first >= 0xe0 and 3 or 2

	if first < 0xc2 or first > 0xf4 or not second then
		return 0
	end
	low = first == 0xe0 and 0xa0 or first == 0xf0 and 0x90 or low -- overlong
	high = first == 0xed and 0x9f or first == 0xf4 and 0x8f or high -- surrogates; too large
	if second < low or second > high then
		return 0
	end
	for i = at + 2, at + size - 1 do
		local next = octets:byte(i)
		if not next or next < 0x80 or next > 0xbf then
			return 0
		end
	end
	return size
end

local function mend(octets)
	local text, at = {}, 1

	while at <= #octets do
		local size = utf8_size(octets, at)
		local char = octets:sub(at, at + math.max(size, 1) - 1)

		text[#text + 1] = size > 0 and char or hex(char)
		at = at + #char
	end
	return table.concat(text)
end

-- The text that @range holds: UTF-8 as it is, NULs and what is no UTF-8 as \xHH.
local function text_of(range)
	return (range:bytes():raw():gsub("%z", "\\x00"):gsub("[\x80-\xff]+", mend))
end

-- Text for a column, which terminals show: control characters as \xHH, too.
local function plain(text)
	return (text:gsub("%c", hex):gsub("\xc2[\x80-\x9f]", hex))
end

local function shorten(text)
	if #text <= 80 then
		return text
	end
	-- Not in the middle of a character
	return text:sub(1, 80):gsub("[\xc0-\xff][\x80-\xbf]*$", "") .. "..."
end

local function summary(letter, text)
	if letter == "t" or letter == "v" or letter == "n" then
		return '"' .. shorten(plain(text)) .. '"'
	end
	return shorten(plain(text))
end

local function describe_perm(item, text, first)
	local letter, domid = text:match("^([nrwb])(%d+)$")

	if letter and first then
		item:append_text((" (domain %s owns it; others: %s)"):format(domid, access[letter]))
	elseif letter then
		item:append_text((" (domain %s: %s)"):format(domid, access[letter]))
	end
end

-- --- the payload

-- The length of the string at the start of @range, and whether a NUL ends it.
local function string_length(range)
	local nul = range:bytes():raw():find("\0", 1, true)

	return nul and nul - 1 or range:len(), nul ~= nil
end

local function add_string(tree, letter, range, len, said)
	local text = len > 0 and text_of(range(0, len)) or ""
	local item = tree:add(letters[letter], range, text)

	if letter == "e" then
		item:add_proto_expert_info(x.error, "The request got " .. plain(text))
	end
	if letter == "m" then
		describe_perm(item, text, not said.perms)
		said.perms = true
	end
	if letter == "p" then
		said.path = said.path or text
	end
	said[#said + 1] = summary(letter, text)
	return item
end

-- Add a payload by its shape. @said gets what it says, in short.
local function add_strings(tree, payload, shape, cut, said)
	local at, size = 0, payload and payload:len() or 0

	if shape == "" and size == 1 and payload(0, 1):uint() == 0 then
		return -- no arguments
	end
	while at < size do
		local letter = shape:sub(1, 1)
		local rest = payload(at)
		local len, ends = rest:len(), false

		letter = letter == "" and "w" or letter
		if letter ~= "v" then
			len, ends = string_length(rest)
		end
		local range = rest(0, ends and len + 1 or len)
		local item = add_string(tree, letter, range, len, said)
		if letter ~= "v" and letter ~= "e" and not ends and not cut then
			item:add_proto_expert_info(x.open)
		end
		if shape:sub(2, 2) ~= "*" then
			shape = shape:sub(2)
		end
		at = at + range:len()
	end
	if shape == "v" and not cut then
		said[#said + 1] = '""'
	end
end

-- --- the message

-- What was there of a message. @read: how numbers are read
local function add_message(tree, buffer, frame, read)
	local message = buffer(FRAME_SIZE, MESSAGE_SIZE)
	local msg = {
		type = read.uint(message(0, 4)), tx = read.uint(message(8, 4)),
		len = read.uint(message(12, 4)),
	}
	local kept = math.min(buffer:len() - FRAME_SIZE - MESSAGE_SIZE, msg.len)

	msg.tree = tree:add(message, "Message")
	msg.item = read.add(msg.tree, f.type, message(0, 4))
	read.add(msg.tree, f.req_id, message(4, 4))
	read.add(msg.tree, f.tx, message(8, 4))
	read.add(msg.tree, f.len, message(12, 4))
	if kept > 0 then
		msg.payload = buffer(FRAME_SIZE + MESSAGE_SIZE, kept)
		msg.tree:add(f.payload, msg.payload)
	end
	msg.cut = msg.len - kept
	if msg.cut > 0 then
		local item = msg.tree:add(f.cut, msg.cut)
		item:set_generated()
		item:add_proto_expert_info(x.cut)
	end
	if not types[msg.type] then
		msg.item:add_proto_expert_info(x.unknown)
	end
	msg.error = frame.kind == REPLY and msg.type == TYPE_ERROR
	return msg
end

local function type_name(type)
	return type_names[type] or ("UNKNOWN 0x%x"):format(type)
end

local function add_ties(tree, frame, exchange, times)
	if frame.kind == REQUEST and exchange.response then
		tree:add(f.response_in, exchange.response):set_generated()
	elseif frame.kind == REPLY and exchange.request then
		tree:add(f.request_in, exchange.request):set_generated()
	end
	if frame.kind == REPLY then
		tree:add(f.time, times.took):set_generated()
		tree:add(f.time_upstream, times.upstream):set_generated()
		tree:add(f.time_proxy, times.proxy):set_generated()
	end
end

local function dissect_message(pinfo, tree, buffer, frame, read, times)
	local msg = add_message(tree, buffer, frame, read)
	local type = types[msg.type]
	local shape = type and type[frame.kind == REQUEST and 2 or 3] or "w*"
	local exchange = frame.kind == EVENT and {} or exchange_of(pinfo, frame)
	local said = {}

	add_strings(msg.tree, msg.payload, msg.error and "e" or shape, msg.cut > 0, said)
	if frame.kind == REQUEST then
		exchange.op, exchange.path = type_name(msg.type), said.path
	end
	local op = msg.error and exchange.op or type_name(msg.type)
	tree:add(f.op, op):set_generated()
	if frame.kind == REPLY and exchange.path and not said.path then
		tree:add(f.path, exchange.path):set_generated()
	end
	add_ties(tree, frame, exchange, times)

	local text = table.concat(said, " ") .. (msg.cut > 0 and " ..." or "")
	if frame.kind == REPLY then
		local path = exchange.path and " " .. summary("p", exchange.path) or ""
		text = ("%s%s = %s"):format(op, path, text == "" and "(empty)" or text)
	else
		text = text == "" and op or op .. " " .. text
	end
	return msg.tx ~= 0 and ("t%d %s"):format(msg.tx, text) or text
end

-- --- the frame

local little = {
	uint = function(range) return range:le_uint() end,
	uint64 = function(range) return range:le_uint64() end,
	add = function(tree, field, range) return tree:add_le(field, range) end,
}
local big = {
	uint = function(range) return range:uint() end,
	uint64 = function(range) return range:uint64() end,
	add = function(tree, field, range) return tree:add(field, range) end,
}

local function nstime(ns)
	local second = UInt64(1000000000)
	return NSTime((ns / second):tonumber(), (ns % second):tonumber())
end

local function read_times(buffer, read)
	local took, upstream = read.uint64(buffer(24, 8)), read.uint64(buffer(32, 8))
	local proxy = took < upstream and UInt64(0) or took - upstream

	return { took = nstime(took), upstream = nstime(upstream), proxy = nstime(proxy) }
end

local function add_frame(tree, buffer, frame, read)
	read.add(tree, f.kind, buffer(4, 2))
	-- Only where they are set, so that `xenstore.ours` is a filter of its own.
	if frame.ours then
		read.add(tree, f.ours, buffer(6, 2))
	end
	if frame.client then
		read.add(tree, f.client, buffer(6, 2))
	end
	if frame.kind == LOST then
		read.add(tree, f.lost, buffer(40, 4)):add_proto_expert_info(x.lost)
		return
	end
	read.add(tree, f.domid, buffer(8, 4))
	read.add(tree, f.session, buffer(12, 4))
	tree:add(f.stream, stream_of(frame)):set_generated()
	if frame.kind ~= EVENT then
		read.add(tree, f.number, buffer(40, 4))
	end
end

local function set_ends(pinfo, frame)
	local guest = ("d%d %s%d"):format(frame.domid, frame.client and "c" or "s", frame.session)
	local server = frame.ours and "xsproxyd" or "xenstored"

	pinfo.cols.src = frame.kind == REQUEST and guest or server
	pinfo.cols.dst = frame.kind == REQUEST and server or guest
end

local function malformed(pinfo, tree, why)
	tree:add_proto_expert_info(x.malformed, "This is no frame of xsproxy's: " .. why)
	pinfo.cols.info = "[malformed: " .. why .. "]"
end

function xenstore.dissector(tvb, pinfo, root)
	local tree = root:add(xenstore, tvb())

	pinfo.cols.protocol = "Xenstore"
	if tvb:len() < FRAME_SIZE then
		malformed(pinfo, tree, "shorter than its header")
		return tvb:len()
	end
	local read = tvb(4, 2):le_uint() <= LOST and little or big
	local flags = read.uint(tvb(6, 2))
	local frame = {
		kind = read.uint(tvb(4, 2)), ours = flags % 2 == 1, client = flags % 4 >= 2,
		domid = read.uint(tvb(8, 4)), session = read.uint(tvb(12, 4)),
		number = read.uint(tvb(40, 4)),
	}
	if not kinds[frame.kind] then
		malformed(pinfo, tree, "of no kind")
		return tvb:len()
	end
	add_frame(tree, tvb, frame, read)
	if frame.kind == LOST then
		pinfo.cols.info = ("%d frames lost here"):format(frame.number)
		return tvb:len()
	end
	set_ends(pinfo, frame)
	if tvb:len() < FRAME_SIZE + MESSAGE_SIZE then
		malformed(pinfo, tree, "its message has no header")
		return tvb:len()
	end
	local info = dissect_message(pinfo, tree, tvb, frame, read, read_times(tvb, read))
	pinfo.cols.info = info
	tree:append_text((", d%d, %s"):format(frame.domid, info))
	return tvb:len()
end

DissectorTable.get("wtap_encap"):add(wtap.USER0, xenstore)
