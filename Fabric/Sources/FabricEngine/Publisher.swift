import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls

/// The computer's side of published ports: holds them, so that no program of the computer takes one that would get nothing,
/// and has what comes to them go to the fabric.
final class Publisher: PortPublisher {
    private struct Place: Hashable {
        let transport: PublishedPort.Transport
        /// With that which means all of a family.
        let address: IPAddress
        let port: UInt16
    }

    private let wayOut: WayOut
    private var held: [Place: HeldPort] = [:]

    init(_ wayOut: WayOut) {
        self.wayOut = wayOut
        // Each takes a descriptor.
        _ = FolderCalls.raiseOpenFileLimit()
    }

    func hold(_ plan: FabricPlan, besides before: FabricPlan) throws(FabricFault) {
        let known = Self.places(before)
        let wanted = Self.places(plan).filter { held[$0.key] == nil }
        if wanted.isEmpty { return }
        var taken: [Place] = []
        do throws(FabricFault) {
            try wayOut.namespace.outside { () throws(FabricFault) in
                for (place, published) in wanted {
                    if known[place] == nil { try check(place, published) }
                    do throws(LinuxError) {
                        held[place] = try HeldPort(
                            place.address.bytes, port: place.port, isStream: place.transport == .tcp)
                        taken.append(place)
                    } catch {
                        // A computer without IPv6 has all of its addresses without those.
                        if error == .familyNotSupported, published.address == nil { continue }
                        if known[place] == nil { throw Self.fault(place, published, error) }
                        EngineLog.write(Self.fault(place, published, error).description)
                    }
                }
            }
        } catch {
            for place in taken { held[place] = nil }
            throw error
        }
    }

    func letGo(_ plan: FabricPlan) {
        if held.isEmpty { return }
        let wanted = Self.places(plan)
        for place in Array(held.keys) where wanted[place] == nil { held[place] = nil }
    }

    func setRules(_ plan: FabricPlan) throws(FabricFault) {
        try wayOut.namespace.outside { () throws(FabricFault) in
            try wayOut.uplink?.setRules(plan.ports)
        }
    }

    func leadFlows(_ ports: [FabricPort]) {
        guard let uplink = wayOut.uplink else { return }
        let flows = PublishedFlows(ports, inner: [uplink.inner, uplink.innerV6].compactMap { $0 })
        do throws(FabricFault) {
            try Self.translate { () throws(LinuxError) in try flows.endInside() }
            try wayOut.namespace.outside { () throws(FabricFault) in
                try Self.translate { () throws(LinuxError) in try flows.endOutside() }
            }
        } catch {
            EngineLog.write(error.description)
        }
    }

    private static func translate(_ body: () throws(LinuxError) -> Void) throws(FabricFault) {
        do throws(LinuxError) { try body() } catch {
            throw FabricFault("datagrams for published ports may go on where they went before: \(error)")
        }
    }

    private static func places(_ plan: FabricPlan) -> [Place: PublishedPort] {
        var places: [Place: PublishedPort] = [:]
        for port in plan.ports {
            for published in port.published {
                for family in published.machines(among: port.addresses).map({ $0.family }) {
                    let all = IPAddress(networkOrder: [UInt8](repeating: 0, count: family == .v4 ? 4 : 16))
                    guard let address = published.onlyAddress ?? all else { continue }
                    for number in published.ports {
                        places[Place(transport: published.transport, address: address, port: number)] = published
                    }
                }
            }
        }
        return places
    }

    /// From outside nobody would reach it, without a word.
    private func check(_ place: Place, _ published: PublishedPort) throws(FabricFault) {
        let address = place.address
        if published.address?.family == .v6 { try wayOut.uplink?.checkV6(for: published) }
        guard address.family == .v6, !address.isUnspecified, address != IPAddress("::1"),
            let missing = ForwardingSwitch.missing
        else { return }
        throw FabricFault(
            "\(published) would be reached from this computer alone, which forwards no IPv6: switch \(missing) on (net.ipv6.conf.INTERFACE.accept_ra=2 before, if its routes are announced), or publish on [::1] or without an address"
        )
    }

    private static func fault(_ place: Place, _ published: PublishedPort, _ error: LinuxError) -> FabricFault {
        let written = place.address.family == .v4 ? "\(place.address):" : "[\(place.address)]:"
        let address = published.onlyAddress == nil ? "" : written
        let port = "port \(address)\(place.port)/\(place.transport.rawValue)"
        switch error {
        case .addressInUse:
            let holder = PortHolder.find(place.port, isStream: place.transport == .tcp).map { " by \($0)" } ?? ""
            return FabricFault(
                "\(port) of this computer is taken\(holder); end that, or choose another port (\(published))")
        case .addressNotAvailable:
            return FabricFault(
                "\(place.address) is no address of this computer (\(published))")
        default: return FabricFault("\(port) of this computer cannot be held: \(error)")
        }
    }
}

extension Engine {
    /// Leads what comes to published ports to the machines that have them, in the fabric first.
    func publish(_ next: FabricPlan, from before: FabricPlan, isRepair: Bool) throws(FabricFault) {
        let wanted = next.ports.filter { !$0.published.isEmpty }
        let present = before.ports.filter { !$0.published.isEmpty }
        let isSame =
            wanted.count == present.count
            && zip(wanted, present).allSatisfy {
                $0.published == $1.published && $0.addresses == $1.addresses && $0.hidesVisitors == $1.hidesVisitors
            }
        if isSame, !isRepair { return }
        do throws(FabricFault) { try setRules(PublishingRules.inside(wanted)) } catch {
            throw FabricFault("the rules for published ports cannot be set: \(error)")
        }
        try publisher?.setRules(next)
        let hasDatagrams = (wanted + present).contains { port in port.published.contains { $0.transport == .udp } }
        if hasDatagrams { publisher?.leadFlows(wanted) }
    }
}
