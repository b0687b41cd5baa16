import ArgumentParser
import Fleet

/// What makes a machine one whose memory can grow while it runs.
struct GrowthOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How much memory `set --memory` can give it while it runs, up to 16 times --memory: 1G. No more than --memory if not given.",
            valueName: "size"))
    var memoryMax: String?

    func change(_ specification: inout MachineSpecification) throws(CommandFailure) {
        guard let memoryMax else { return }
        if memoryMax == "none" || memoryMax == "0" {
            specification.memoryMaximumMebibytes = nil
            return
        }
        guard let mebibytes = Units.mebibytes(memoryMax) else {
            throw CommandFailure("usage.memory", "\"\(memoryMax)\" is no size; write it as 1G, or none (--memory-max)")
        }
        let whole = specification.wholeMebibytes(mebibytes)
        specification.memoryMaximumMebibytes = whole == specification.memoryMebibytes ? nil : whole
    }
}

/// Limits that `run` and `set` take alike.
struct LimitOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Its weight against other machines when there is too little processor time, 2 to 262144; 1024 without.",
            valueName: "shares"))
    var cpuShares: String?
    @Option(
        help: ArgumentHelp(
            "How much a second each disk, or one (vdb=10M), may read and write. May be repeated.",
            valueName: "[disk=]rate[,burst=size]"))
    var diskBandwidth: [String] = []
    @Option(
        help: ArgumentHelp(
            "How many reads and writes a second each disk, or one, may do. May be repeated.",
            valueName: "[disk=]rate[,burst=number]"))
    var diskOps: [String] = []
    @Option(
        help: ArgumentHelp(
            "How much a second may come in by each network interface, or by one (eth0=10M). May be repeated.",
            valueName: "[interface=]rate[,burst=size]"))
    var networkIn: [String] = []
    @Option(
        help: ArgumentHelp(
            "How many packets a second may come in. May be repeated.", valueName: "[interface=]rate[,burst=number]"))
    var networkInPackets: [String] = []
    @Option(
        help: ArgumentHelp(
            "How much a second may go out by each network interface, or by one. May be repeated.",
            valueName: "[interface=]rate[,burst=size]"))
    var networkOut: [String] = []
    @Option(
        help: ArgumentHelp(
            "How many packets a second may go out. May be repeated.", valueName: "[interface=]rate[,burst=number]"))
    var networkOutPackets: [String] = []

    var areGiven: Bool {
        cpuShares != nil
            || ![diskBandwidth, diskOps, networkIn, networkInPackets, networkOut, networkOutPackets].joined().isEmpty
    }

    /// Changes what is named, and leaves the rest.
    func change(
        _ limits: inout MachineLimits, of specification: MachineSpecification, attached: [DeviceAttachment] = []
    ) throws(FleetError) {
        if let cpuShares { try limits.setShares(cpuShares) }
        let disks = LimitedDevices.disks(of: specification, attached: attached)
        let interfaces = LimitedDevices.interfaces(of: specification, attached: attached)
        for text in diskBandwidth {
            try limits.set(\.diskBandwidth, .bytes, text, option: "--disk-bandwidth", devices: disks)
        }
        for text in diskOps {
            try limits.set(\.diskOperations, .operations, text, option: "--disk-ops", devices: disks)
        }
        for text in networkIn {
            try limits.set(\.networkIn, .bytes, text, option: "--network-in", devices: interfaces)
        }
        for text in networkInPackets {
            try limits.set(
                \.networkInPackets, .operations, text, option: "--network-in-packets", devices: interfaces)
        }
        for text in networkOut {
            try limits.set(\.networkOut, .bytes, text, option: "--network-out", devices: interfaces)
        }
        for text in networkOutPackets {
            try limits.set(
                \.networkOutPackets, .operations, text, option: "--network-out-packets", devices: interfaces)
        }
    }

    /// The processors of a new machine, and how much of their time it may use: `1.5` is two, and a quota.
    static func setProcessors(_ text: String, of specification: inout MachineSpecification) throws {
        if let whole = Int(text) {
            specification.processors = whole
            return
        }
        guard let thousandths = MachineLimits.thousandths(text) else {
            throw CommandFailure("usage.cpus", "\"\(text)\" is no number of processors; write 2 or 1.5 (--cpus)")
        }
        specification.processors = max(1, (thousandths + 999) / 1000)
        try specification.limits.setProcessors(text, of: specification.processors)
    }
}
