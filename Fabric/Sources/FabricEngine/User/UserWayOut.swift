import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls
import Wiring

/// The way out of an ordinary user's fabric: a link whose other side slirp4netns reads, which is started by who keeps the namespaces.
final class UserWayOut: Outlet {
    private let folder: EngineFolder

    init(_ folder: EngineFolder) { self.folder = folder }

    /// Without the link there is none for now: it is made usable when it comes.
    func repair(inside: inout Links, publishing ports: [FabricPort]) throws(FabricFault) {
        try Uplink.translate { () throws(LinuxError) in
            guard let link = try inside.find(ByteString(RoutingRules.uplink)) else { return }
            if link.maximumTransmissionUnit != Slirp.maximumTransmissionUnit {
                try inside.set(link.index, maximumTransmissionUnit: Slirp.maximumTransmissionUnit)
            }
            try Uplink.give(Slirp.inner, prefixLength: Slirp.prefixLength, to: link, &inside)
            let everywhere = Interface.Route(to: IPAddress(v4: 0, 0, 0, 0), prefixLength: 0, via: Slirp.outer)
            try inside.replace(Route(everywhere, link: link.index))
        }
    }

    func isNew(inside: inout Links) -> Bool {
        guard let found = try? inside.find(ByteString(RoutingRules.uplink)) else { return false }
        return !found.isUp
    }

    /// It goes with who keeps the namespaces.
    func remove() {}

    func obstacles() -> [String] {
        if !Slirp.isInstalled { return [WayOutProgram.absence] }
        if Slirp(folder).runs { return [] }
        return ["\(Slirp.program) does not run (swiftlet network repair; see \(folder.log))"]
    }

    /// It leads nowhere by IPv6, whatever the computer does.
    func hindranceOfIPv6() -> String? { WayOutProgram.v6 }
}
