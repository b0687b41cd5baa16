/// What the monitor says of memory that is plugged. Source: `GET /hotplug/memory`, Documentation/firecracker.md.
struct PluggedMemory: Decodable, Equatable {
    var plugged_size_mib: Int
    var requested_size_mib: Int
}

/// What of a guest's memory is plugged, and what its balloon holds, in MiB.
struct GuestMemoryState: Equatable {
    var plugged: Int
    var balloon: Int

    /// Trust: a monitor says these, which its guest may have taken over; no machine has more than the most.
    init(plugged: Int, balloon: Int) {
        self.plugged = min(max(0, plugged), MachineSpecification.mostMemoryMaximum)
        self.balloon = min(max(0, balloon), MachineSpecification.mostMemoryMaximum)
    }

    /// What limits want.
    init(_ limits: MachineLimits, _ specification: MachineSpecification) {
        plugged = specification.pluggedMebibytes(limits)
        balloon = specification.balloonMebibytes(limits)
    }

    /// What is to be asked for now, on the way to this.
    ///
    /// Memory is taken away only as far as the guest can spare it: Linux gives up what it has been asked for until programs find no page, and
    /// ends one. A balloon is filled only when nothing is plugged any more: Linux, which moves a balloon's pages out of the way of
    /// what is to be taken away, moves them in circles while both go on.
    /// - Parameters:
    ///   - asked: what the guest has been asked for.
    ///   - now: what it has.
    ///   - spare: what it can do without; nil where it does not say.
    func requests(asked: GuestMemoryState, now: GuestMemoryState, spare: Int?) -> [MachineLimits.Request] {
        var requests: [MachineLimits.Request] = []
        if balloon < asked.balloon { requests.append(Self.filling(balloon)) }
        let next = nextPlugged(asked: asked.plugged, now: now.plugged, spare: spare ?? 0)
        if next != asked.plugged { requests.append(Self.plugging(next)) }
        if balloon > asked.balloon, now.plugged == 0 { requests.append(Self.filling(balloon)) }
        return requests
    }

    private func nextPlugged(asked: Int, now: Int, spare: Int) -> Int {
        guard plugged < now else { return plugged }
        // On the way already; whoever is asked anew begins anew.
        if asked < now, asked >= plugged, spare >= 0 { return asked }
        let block = MachineSpecification.blockMebibytes
        return max(plugged, now - max(0, spare) / block * block)
    }

    /// What a guest can do without: what is free but for a rest with which its programs go on.
    static func spare(availableBytes: UInt64, totalBytes: UInt64) -> Int {
        let (available, total) = (Int(clamping: availableBytes >> 20), Int(clamping: totalBytes >> 20))
        return available - least - total / 16
    }

    private static let least = 16

    private static func filling(_ mebibytes: Int) -> MachineLimits.Request {
        .init(resource: "/balloon", body: "{\"amount_mib\":\(mebibytes)}")
    }

    private static func plugging(_ mebibytes: Int) -> MachineLimits.Request {
        .init(resource: "/hotplug/memory", body: "{\"requested_size_mib\":\(mebibytes)}")
    }

    /// How far a guest has come that is on its way to this. What it does beyond does not count.
    func progress(_ now: GuestMemoryState, from former: GuestMemoryState) -> (done: Int, all: Int) {
        func left(_ part: KeyPath<GuestMemoryState, Int>) -> Int {
            let (here, there) = (now[keyPath: part], self[keyPath: part])
            return there > former[keyPath: part] ? max(0, there &- here) : max(0, here &- there)
        }
        let all = abs(plugged &- former.plugged) &+ abs(balloon &- former.balloon)
        return (all &- min(all, left(\.plugged) &+ left(\.balloon)), all)
    }

    /// What is left to do when nobody waits any longer.
    func outcome(_ now: GuestMemoryState) -> MachineRemote.LimitsOutcome {
        .init(
            missingMebibytes: max(0, balloon &- now.balloon), keptMebibytes: max(0, now.plugged &- plugged),
            untakenMebibytes: max(0, plugged &- now.plugged))
    }
}

extension MonitorControl {
    /// What the guest has been asked for, and what it has.
    func memoryState(_ specification: MachineSpecification) throws(FleetError) -> (
        asked: GuestMemoryState, now: GuestMemoryState
    ) {
        let balloon = try counters().balloon
        let memory = specification.memoryMaximumMebibytes == nil ? nil : try pluggedMemory()
        return (
            GuestMemoryState(plugged: memory?.requested_size_mib ?? 0, balloon: balloon?.target_mib ?? 0),
            GuestMemoryState(plugged: memory?.plugged_size_mib ?? 0, balloon: balloon?.actual_mib ?? 0)
        )
    }
}
