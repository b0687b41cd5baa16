import FabricProtocol
import LinuxCalls

extension Engine {
    /// A second altogether, or a fifth of one; on a busy machine each takes longer.
    private static let passingAttempts = 500
    private static let fewPassingAttempts = 100
    private static let passingPauseNanoseconds: UInt64 = 2_000_000
    /// What this process may be late without anybody being forgiven for it.
    private static let usualDelayNanoseconds: UInt64 = 10_000_000

    /// Waits until probes come through an appliance both ways. Those in other wires go on meanwhile.
    func awaitPassing(_ inside: UInt16, of port: FabricPort, isPatient: Bool) -> Bool {
        let start = Clock.monotonic.nanoseconds()
        for _ in 0..<(isPatient ? Self.passingAttempts : Self.fewPassingAttempts) {
            probes.send(through: inside)
            sleep(nanoseconds: Self.passingPauseNanoseconds)
            takeProbes()
            if probes.hasBegun(inside, since: start) { return true }
            _ = probe(besides: port.number)
        }
        probes.fails(inside)
        return false
    }

    /// Notes those that have come out of appliances.
    public func takeProbes() { probes.take(at: Clock.monotonic.nanoseconds()) }

    /// To be watched for being readable: probes have come out.
    public var probesDescriptor: Int32 { probes.descriptor }
    /// The same of those that route; nil while there is none.
    public var routedProbesDescriptor: Int32? { probes.routedDescriptor }

    /// Judges and probes the appliances that are due: what fails open is gone around, and comes back when it lets frames
    /// through again.
    /// - Parameter besides: a port that is being changed.
    /// - Returns: nanoseconds until somebody is due again; nil when nobody is probed.
    func probe(besides: UInt16? = nil) -> UInt64? {
        takeProbes()
        let now = Clock.monotonic.nanoseconds()
        var next: UInt64?
        for port in plan.ports where !port.line.isEmpty && port.number != besides {
            for appliance in port.line where !appliance.isBypassed && appliance.patienceMilliseconds != nil {
                guard let due = probes.due(appliance.inside) else { continue }
                if due <= now {
                    if due != 0, now > due + Self.usualDelayNanoseconds, let last = lastRoundNanoseconds, last <= due {
                        // Nobody has looked since it was due.
                        probes.forgive(now - due, at: now)
                    }
                    lastRoundNanoseconds = now
                    probes.round(through: appliance.inside, at: now)
                }
                next = min(next ?? .max, probes.due(appliance.inside) ?? .max)
            }
            // Also what could not be done before.
            if let way = joined[port.number], way != line(of: port).map({ $0.inside }) { reconnect(port) }
        }
        return next.map { $0 - min($0, now) }
    }
}
