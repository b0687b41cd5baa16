import AgentProtocol
public import WireFormats

extension FabricChange {
    /// Trust: whoever may speak to the fabric may do all to it; what is wrong is still told.
    init(_ document: JSONValue) throws(FabricFault) {
        let reader = try ObjectReader(
            document, "the change", ["networks", "ports", "removed_networks", "removed_ports", "whole"])
        for element in try reader.list("networks") { networks.append(try FabricNetwork(element)) }
        for element in try reader.list("ports") { ports.append(try FabricPort(element)) }
        for element in try reader.list("removed_networks") {
            guard let name = element.text else { throw FabricFault("removed_networks holds what is no text") }
            removedNetworks.append(name)
        }
        removedPorts = try reader.portNumbers("removed_ports")
        if reader.has("whole") { isWhole = try reader.boolean("whole") }
    }

    public var document: JSONValue {
        .object([
            JSONMember("networks", .array(networks.map { $0.document })),
            JSONMember("ports", .array(ports.map { $0.document })),
            JSONMember("removed_networks", .array(removedNetworks.map { .string($0) })),
            JSONMember("removed_ports", .array(removedPorts.map { .integer(Int64($0)) })),
            JSONMember("whole", .boolean(isWhole)),
        ])
    }
}

extension FabricNetwork {
    init(_ document: JSONValue) throws(FabricFault) {
        let reader = try ObjectReader(
            document, "a network",
            [
                "name", "number", "prefixes", "mtu", "reaches_outside", "reachable_networks", "private",
                "name_servers", "gateways",
            ])
        let name = try reader.text("name")
        guard Self.isName(name) else { throw FabricFault("\"\(name)\" is no name for a network") }
        var prefixes: [NetworkPrefix] = []
        for text in try reader.texts("prefixes") {
            guard let prefix = NetworkPrefix(text), prefix.hostBits >= 2 else {
                throw FabricFault("\"\(text)\" is no network's prefix")
            }
            guard !prefixes.contains(where: { $0.family == prefix.family }) else {
                throw FabricFault("\(name) has two prefixes of one family")
            }
            prefixes.append(prefix)
        }
        var reachable: [String] = []
        for other in try reader.texts("reachable_networks") {
            guard Self.isName(other), other != name else {
                throw FabricFault("\"\(other)\" is no other network's name")
            }
            reachable.append(other)
        }
        guard reachable.count <= Self.mostReachable else {
            throw FabricFault("\(name) is to reach more than \(Self.mostReachable) networks")
        }
        self.init(
            name: name, number: UInt16(try reader.number("number", in: Self.numbers)), prefixes: prefixes,
            maximumTransmissionUnit: UInt32(try reader.number("mtu", in: Self.maximumTransmissionUnits)),
            reachesOutside: try reader.boolean("reaches_outside"), reachableNetworks: reachable,
            isPrivate: try reader.boolean("private"), nameServers: try reader.addresses("name_servers"),
            gateways: reader.has("gateways") ? try reader.addresses("gateways") : nil)
    }

    var document: JSONValue {
        .object([
            JSONMember("name", .string(name)),
            JSONMember("number", .integer(Int64(number))),
            JSONMember("prefixes", .array(prefixes.map { .string($0.description) })),
            JSONMember("mtu", .integer(Int64(maximumTransmissionUnit))),
            JSONMember("reaches_outside", .boolean(reachesOutside)),
            JSONMember("reachable_networks", .array(reachableNetworks.map { .string($0) })),
            JSONMember("private", .boolean(isPrivate)),
            JSONMember("name_servers", .array(nameServers.map { .string($0.description) })),
            JSONMember("gateways", gateways.map { .array($0.map { .string($0.description) }) } ?? .null),
        ])
    }
}

extension FabricPort {
    init(_ document: JSONValue) throws(FabricFault) {
        let reader = try ObjectReader(
            document, "a port",
            [
                "number", "network", "joined", "mac", "addresses", "names", "owner", "line", "mirrors", "published",
                "hides_visitors", "egress", "impairment", "name_networks",
            ])
        let number = UInt16(try reader.number("number", in: Self.numbers))
        let addresses = try reader.addresses("addresses")
        let names = try reader.texts("names")
        guard addresses.count <= Self.mostAddresses, names.count <= Self.mostNames else {
            throw FabricFault("port \(number) has too many addresses or names")
        }
        for name in names where !Self.isName(name) { throw FabricFault("\"\(name)\" is no name for a machine") }
        var line: [InlineAppliance] = []
        for element in try reader.list("line") { line.append(try InlineAppliance(element)) }
        guard line.count <= Self.mostInLine else {
            throw FabricFault("at most \(Self.mostInLine) appliances are in one wire")
        }
        let mirrors = try reader.portNumbers("mirrors")
        guard mirrors.count <= Self.mostMirrors else {
            throw FabricFault("at most \(Self.mostMirrors) appliances look at one wire")
        }
        var published: [PublishedPort] = []
        for element in try reader.list("published") { published.append(try PublishedPort(element)) }
        var egress: EgressPolicy?
        if reader.has("egress"), let document = document["egress"] { egress = try EgressPolicy(document) }
        var owner: UInt32?
        if reader.has("owner") { owner = UInt32(try reader.number("owner", in: 0...UInt32.max - 1)) }
        self.init(
            number: number, network: reader.has("network") ? try reader.text("network") : nil,
            hardwareAddress: try reader.hardwareAddress("mac"), addresses: addresses, names: names, owner: owner,
            line: line, mirrors: mirrors, published: published,
            hidesVisitors: reader.has("hides_visitors") ? try reader.boolean("hides_visitors") : false, egress: egress)
        if reader.has("joined") { joined = try reader.text("joined") }
        nameNetworks = try reader.texts("name_networks")
        guard nameNetworks.count <= Self.mostNameNetworks else {
            throw FabricFault("port \(number) is to find the names of too many networks")
        }
        if reader.has("impairment"), let document = document["impairment"] { impairment = try Impairment(document) }
    }

    var document: JSONValue {
        .object([
            JSONMember("number", .integer(Int64(number))),
            JSONMember("network", network.map { .string($0) } ?? .null),
            JSONMember("joined", joined.map { .string($0) } ?? .null),
            JSONMember("mac", .string(HardwareAddress.text(hardwareAddress))),
            JSONMember("addresses", .array(addresses.map { .string($0.description) })),
            JSONMember("names", .array(names.map { .string($0) })),
            JSONMember("name_networks", .array(nameNetworks.map { .string($0) })),
            JSONMember("owner", owner.map { .integer(Int64($0)) } ?? .null),
            JSONMember("line", .array(line.map { $0.document })),
            JSONMember("mirrors", .array(mirrors.map { .integer(Int64($0)) })),
            JSONMember("published", .array(published.map { $0.document })),
            JSONMember("hides_visitors", .boolean(hidesVisitors)),
            JSONMember("egress", egress?.document ?? .null),
            JSONMember("impairment", impairment?.document ?? .null),
        ])
    }
}

extension InlineAppliance {
    init(_ document: JSONValue) throws(FabricFault) {
        let reader = try ObjectReader(
            document, "an appliance in line",
            ["name", "inside", "outside", "fails_open", "bypassed", "patience_ms", "shadow", "routing"])
        let name = try reader.text("name")
        guard FabricPort.isName(name) else { throw FabricFault("\"\(name)\" is no name for an appliance") }
        var patience: UInt32?
        if reader.has("patience_ms") { patience = UInt32(try reader.number("patience_ms", in: Self.patience)) }
        self.init(
            name: name, inside: UInt16(try reader.number("inside", in: FabricPort.numbers)),
            outside: UInt16(try reader.number("outside", in: FabricPort.numbers)),
            failsOpen: try reader.boolean("fails_open"), isBypassed: try reader.boolean("bypassed"),
            patienceMilliseconds: patience)
        if reader.has("shadow") {
            let ends = try reader.portNumbers("shadow")
            guard ends.count == 2, ends.allSatisfy(FabricPort.numbers.contains) else {
                throw FabricFault("shadow of an appliance in line is not the numbers of two ports")
            }
            shadow = Shadow(inside: ends[0], outside: ends[1])
        }
        if reader.has("routing"), let document = document["routing"] { routing = try Stations(document) }
    }

    var document: JSONValue {
        .object([
            JSONMember("name", .string(name)),
            JSONMember("inside", .integer(Int64(inside))),
            JSONMember("outside", .integer(Int64(outside))),
            JSONMember("fails_open", .boolean(failsOpen)),
            JSONMember("bypassed", .boolean(isBypassed)),
            JSONMember("patience_ms", patienceMilliseconds.map { .integer(Int64($0)) } ?? .null),
            JSONMember(
                "shadow",
                shadow.map { .array([.integer(Int64($0.inside)), .integer(Int64($0.outside))]) } ?? .null),
            JSONMember("routing", routing?.document ?? .null),
        ])
    }
}

extension InlineAppliance.Stations {
    init(_ document: JSONValue) throws(FabricFault) {
        let reader = try ObjectReader(document, "routing of an appliance in line", ["inside", "outside"])
        self.init(inside: try reader.hardwareAddress("inside"), outside: try reader.hardwareAddress("outside"))
    }

    var document: JSONValue {
        .object([
            JSONMember("inside", .string(HardwareAddress.text(inside))),
            JSONMember("outside", .string(HardwareAddress.text(outside))),
        ])
    }
}
