import Fleet

/// A machine's limits, for programs: names that stay. What is not there is not limited.
struct LimitsDocument: Encodable {
    struct Rate: Encodable {
        var perSecond: UInt64
        var burst: UInt64

        init?(_ limit: RateLimit) {
            guard limit != .unlimited else { return nil }
            perSecond = limit.perSecond
            burst = limit.burst ?? limit.perSecond
        }
    }

    struct Disk: Encodable {
        var name: String
        var bytes: Rate?
        var operations: Rate?
    }

    struct Network: Encodable {
        var name: String
        var inBytes: Rate?
        var inPackets: Rate?
        var outBytes: Rate?
        var outPackets: Rate?
    }

    var cpus: Double?
    var cpuShares: Int?
    var memoryMebibytes: Int?
    var disks: [Disk]
    var networks: [Network]

    init(_ specification: MachineSpecification, attached: [DeviceAttachment] = []) {
        let limits = specification.limits
        cpus = limits.cpuThousandths.map { Double($0) / 1000 }
        cpuShares = limits.cpuShares
        memoryMebibytes = limits.memoryMebibytes
        disks = LimitedDevices.disks(of: specification, attached: attached).kept.compactMap { name in
            let disk = Disk(
                name: name, bytes: Rate(limits.diskBandwidth[name]), operations: Rate(limits.diskOperations[name]))
            return disk.bytes == nil && disk.operations == nil ? nil : disk
        }
        networks = LimitedDevices.interfaces(of: specification, attached: attached).kept.compactMap { name in
            let network = Network(
                name: name, inBytes: Rate(limits.networkIn[name]), inPackets: Rate(limits.networkInPackets[name]),
                outBytes: Rate(limits.networkOut[name]), outPackets: Rate(limits.networkOutPackets[name]))
            let rates = [network.inBytes, network.inPackets, network.outBytes, network.outPackets]
            return rates.allSatisfy { $0 == nil } ? nil : network
        }
    }

    /// For people: `0.5 cpus, 128 MiB, vdb 10 MiB/s`.
    var text: String {
        var words: [String] = []
        if let cpus { words.append("\(cpus) cpus") }
        if let cpuShares { words.append("\(cpuShares) shares") }
        if let memoryMebibytes { words.append("\(memoryMebibytes) MiB") }
        for disk in disks {
            if let rate = disk.bytes { words.append("\(disk.name) \(Units.size(rate.perSecond))/s") }
            if let rate = disk.operations { words.append("\(disk.name) \(rate.perSecond) ops/s") }
        }
        for network in networks {
            if let rate = network.inBytes { words.append("\(network.name) in \(Units.size(rate.perSecond))/s") }
            if let rate = network.inPackets { words.append("\(network.name) in \(rate.perSecond) packets/s") }
            if let rate = network.outBytes { words.append("\(network.name) out \(Units.size(rate.perSecond))/s") }
            if let rate = network.outPackets { words.append("\(network.name) out \(rate.perSecond) packets/s") }
        }
        return words.isEmpty ? "-" : words.joined(separator: ", ")
    }
}
