-- SPDX-License-Identifier: GPL-2.0-or-later
--
-- What a guest asks of its UEFI variable service, for Wireshark and tshark, also those that do not
-- know link type 302 (EDK2 MM):
--
--     tshark -l -X lua_script:edk2-mm.lua -i - < /mnt/guests/web1/trace.pcap
--
-- One line a request and one a reply. The fields are edk2mm.*: kind, function, status, variable,
-- guid, attributes, size, data.

local mm = Proto("edk2mm", "EDK2 MM variable service")

local VARIABLE = "ed32d533-99e6-4209-9cc0-2d72cdd998a7"
local EVENTS = {
    ["02ce967a-dd7e-4ffc-9ee7-810cf0470880"] = "EventEndOfDxe",
    ["7ce88fb3-4bd7-4679-87a8-a8d8dee50d2b"] = "EventReadyToBoot",
    ["27abf055-b1b8-4c26-8048-748f37baa2df"] = "EventExitBootServices",
    ["da1b0d11-d1a7-46c4-9dc9-f3714875c6eb"] = "Policy",
}
local KINDS = { [1] = "reset", [2] = "request", [3] = "reply" }
local FUNCTIONS = {
    [1] = "GetVariable", [2] = "GetNextVariableName", [3] = "SetVariable",
    [4] = "QueryVariableInfo", [5] = "ReadyToBoot", [6] = "ExitBootServices",
    [8] = "LockVariable", [9] = "VarCheckPropertySet", [10] = "VarCheckPropertyGet",
    [11] = "GetPayloadSize",
}

local f = {
    kind = ProtoField.string("edk2mm.kind", "Kind"),
    func = ProtoField.string("edk2mm.function", "Function"),
    -- without the error bit, as status codes are numbered
    status = ProtoField.uint64("edk2mm.status", "Status"),
    variable = ProtoField.string("edk2mm.variable", "Variable"),
    guid = ProtoField.string("edk2mm.guid", "GUID"),
    attributes = ProtoField.uint32("edk2mm.attributes", "Attributes", base.HEX),
    size = ProtoField.uint64("edk2mm.size", "Data size"),
    data = ProtoField.bytes("edk2mm.data", "Data"),
}
mm.fields = { f.kind, f.func, f.status, f.variable, f.guid, f.attributes, f.size, f.data }

local function guid_text(range)
    return string.format("%08x-%04x-%04x-%04x-%s", range(0, 4):le_uint(), range(4, 2):le_uint(),
        range(6, 2):le_uint(), range(8, 2):uint(), tostring(range(10, 6):bytes()):lower())
end

-- GUID, u64 data size, u64 name size, u32 attributes, name, data.
local function access(tvb, tree)
    if tvb:len() < 36 then return "" end
    local data_size, name_size = tvb(16, 8):le_uint64(), tvb(24, 8):le_uint64()
    local here = tvb:len() - 36
    tree:add(f.guid, tvb(0, 16), guid_text(tvb))
    tree:add(f.attributes, tvb(32, 4), tvb(32, 4):le_uint())
    tree:add(f.size, tvb(16, 8), data_size)
    if name_size < 2 or name_size > here then return "" end
    local units = name_size:tonumber()
    local name = tvb(36, units - 2):le_ustring()
    tree:add(f.variable, tvb(36, units), name)
    if data_size > 0 and data_size <= here - units then
        tree:add(f.data, tvb(36 + units, data_size:tonumber()))
    end
    return " " .. name
end

-- GUID, u64 name size, name.
local function next_name(tvb, tree)
    if tvb:len() < 24 then return "" end
    local name_size = tvb(16, 8):le_uint64()
    tree:add(f.guid, tvb(0, 16), guid_text(tvb))
    if name_size < 2 or name_size > tvb:len() - 24 then return "" end
    local name = tvb(24, name_size:tonumber()):le_ustringz()
    tree:add(f.variable, tvb(24, name_size:tonumber()), name)
    return " " .. name
end

-- u64 function, u64 status, and what belongs to the function.
local function variable_message(tvb, tree, is_reply)
    if tvb:len() < 16 then return "Malformed" end
    local number = tvb(0, 8):le_uint64():tonumber()
    local text = FUNCTIONS[number] or ("Function" .. number)
    tree:add(f.func, tvb(0, 8), text)
    if is_reply then
        local status = tvb(8, 7):le_uint64()
        tree:add(f.status, tvb(8, 8), status)
    end
    if tvb:len() == 16 then return text end
    local body = tvb(16):tvb()
    if number == 1 or number == 3 then return text .. access(body, tree) end
    if number == 2 then return text .. next_name(body, tree) end
    return text
end

function mm.dissector(tvb, pinfo, root)
    if tvb:len() < 4 then return 0 end
    local kind = KINDS[tvb(0, 4):le_uint()] or "unknown"
    local tree = root:add(mm, tvb())
    pinfo.cols.protocol = "EDK2 MM"
    tree:add(f.kind, tvb(0, 4), kind)
    local text = ""
    if tvb:len() >= 28 then
        local handler = guid_text(tvb(4))
        if handler == VARIABLE and tvb:len() > 28 then
            text = variable_message(tvb(28):tvb(), tree, kind == "reply")
        else
            text = EVENTS[handler] or handler
            tree:add(f.func, tvb(4, 16), text)
        end
    end
    pinfo.cols.info = kind .. " " .. text
    return tvb:len()
end

-- A link type that is not known is encapsulation 0.
local encapsulations = wtap_encaps or wtap
DissectorTable.get("wtap_encap"):add(encapsulations.EDK2_MM or 0, mm)
