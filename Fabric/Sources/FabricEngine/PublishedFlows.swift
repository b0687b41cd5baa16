import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls
import Wiring

/// Flows of datagrams to published ports. The kernel asks the rules about the first datagram of one alone: one that goes on without a pause
/// would be led for ever where the port led when it began, though that is another machine's by now, or nobody's. Connections of TCP
/// end by themselves, and stay.
struct PublishedFlows {
    private static let datagrams: UInt8 = 17

    /// How the link is left towards a machine.
    private struct Delivery: Hashable {
        let carrier: UInt16
        let machine: IPAddress
        let port: UInt16
    }

    private let deliveries: Set<Delivery>
    /// By the computer's ports.
    private let ways: [UInt16: [PublishingRules.Way]]
    /// The addresses of the fabric's end of the link.
    private let inner: [IPAddress]

    /// - Parameter ports: those that have ports of the computer.
    init(_ ports: [FabricPort], inner: [IPAddress]) {
        var (deliveries, ways): (Set<Delivery>, [UInt16: [PublishingRules.Way]]) = ([], [:])
        for way in PublishingRules.ways(of: ports) where way.transport == .udp {
            deliveries.insert(Delivery(carrier: way.carrier, machine: way.machine, port: way.machinePort))
            ways[way.port, default: []].append(way)
        }
        (self.deliveries, self.ways, self.inner) = (deliveries, ways, inner)
    }

    /// Whether a flow of the fabric is led where no port leads.
    func isOverInside(_ flow: TrackedConnection) -> Bool {
        guard flow.transport == Self.datagrams, inner.contains(flow.question.destination.address),
            let carrier = flow.question.destination.port, let port = flow.answer.source.port
        else { return false }
        return !deliveries.contains(Delivery(carrier: carrier, machine: flow.answer.source.address, port: port))
    }

    /// Whether a flow of the computer is led to the fabric though no port leads there, or is not though one does.
    /// - Parameter own: the computer's addresses, besides the loopback's.
    func isOverOutside(_ flow: TrackedConnection, _ own: Set<IPAddress>) -> Bool {
        let asked = flow.question.destination
        guard flow.transport == Self.datagrams, let port = asked.port else { return false }
        let ways = ways[port, default: []].filter {
            $0.machine.family == asked.address.family && ($0.address == nil || $0.address == asked.address)
        }
        if inner.contains(flow.answer.source.address) {
            return !ways.contains { $0.carrier == flow.answer.source.port }
        }
        // Nobody had the port when it began.
        let isOwn =
            own.contains(asked.address) || (asked.address.family == .v4 && asked.address.bytes.first == 127)
        return !ways.isEmpty && flow.answer.source == asked && isOwn
    }

    // MARK: Each in its namespace

    func endInside() throws(LinuxError) {
        var over: [TrackedConnection] = []
        for flow in try TrackedConnection.all() where isOverInside(flow) { over.append(flow) }
        try TrackedConnection.forget(over)
    }

    func endOutside() throws(LinuxError) {
        var links = try Links()
        var own: Set<IPAddress> = []
        for address in try links.addresses(of: nil) { own.insert(address.address) }
        var over: [TrackedConnection] = []
        for flow in try TrackedConnection.all() where isOverOutside(flow, own) { over.append(flow) }
        try TrackedConnection.forget(over)
    }
}
