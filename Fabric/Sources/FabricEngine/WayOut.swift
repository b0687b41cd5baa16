import AgentProtocol
public import FabricProtocol
import FabricRules
import LinuxCalls
public import Wiring

/// The link between a fabric and the computer that it is in, for what goes out, kept as it is to be.
public final class WayOut: Outlet {
    private let folder: EngineFolder
    let namespace: EngineNamespace
    /// Nil before it is made.
    private(set) var uplink: Uplink?

    init(_ folder: EngineFolder, _ namespace: consuming EngineNamespace) {
        self.folder = folder
        self.namespace = namespace
    }

    /// Makes what is missing of it: all, or what an engine that was killed had not come to, or what somebody else has taken
    /// away. What others have of such a name is left alone.
    public func repair(inside: inout Links, publishing ports: [FabricPort]) throws(FabricFault) {
        let fabric = namespace.own.number
        let known = EngineFolder.read(folder.uplink, maximumBytes: 8)?.first
        let near = try Uplink.translate { () throws(LinuxError) in try Self.end(&inside) }
        let present = try namespace.outside { () throws(FabricFault) in try Uplink.present(near) }
        // An end that leads nowhere would keep a new one from being made.
        if near != nil, present == nil { try? inside.remove(ByteString(RoutingRules.uplink)) }
        let uplink = try namespace.outside { () throws(FabricFault) -> Uplink in
            if let present {
                try present.lead(ports)
                return present
            }
            let uplink = try Uplink.made(known, fabric)
            try uplink.lead(ports)
            return uplink
        }
        self.uplink = uplink
        if known != uplink.number { try EngineFolder.write([uplink.number], to: folder.uplink) }
        try Uplink.translate { () throws(LinuxError) in
            guard let link = try Self.end(&inside) else { throw LinuxError.noDevice }
            try Uplink.give(uplink.inner, to: link, &inside)
            let everywhere = Interface.Route(to: IPAddress(v4: 0, 0, 0, 0), prefixLength: 0, via: uplink.outer)
            try inside.replace(Route(everywhere, link: link.index))
            do throws(LinuxError) { try Self.leadV6(uplink, link, &inside) } catch {
                EngineLog.write("the link out of the fabric leads no IPv6: \(error)")
            }
        }
    }

    /// Nothing where the kernel has no IPv6.
    private static func leadV6(_ uplink: Uplink, _ link: Link, _ inside: inout Links) throws(LinuxError) {
        guard let near = uplink.innerV6, let far = uplink.outerV6, let all = IPAddress("::"),
            let file = try? open("/proc/sys/net/ipv6/conf/\(RoutingRules.uplink)/disable_ipv6", .writeOnly)
        else { return }
        try writeAll(file.number, "0")
        try Uplink.give(v6: near, to: link, &inside)
        try inside.replace(Route(Interface.Route(to: all, prefixLength: 0, via: far), link: link.index))
    }

    private static func end(_ inside: inout Links) throws(LinuxError) -> Link? {
        try inside.find(ByteString(RoutingRules.uplink))
    }

    /// The fabric makes its link itself.
    public func isNew(inside: inout Links) -> Bool { false }

    /// Takes what it has left on the computer's side away.
    public func remove() {
        guard let number = EngineFolder.read(folder.uplink, maximumBytes: 8)?.first,
            let uplink = Uplink(number: number)
        else { return }
        try? namespace.outside { () throws(FabricFault) in
            if var links = try? Links() { try? links.remove(ByteString(uplink.device)) }
            for family in ["ip", "ip6"] as [ByteString] {
                _ = Rules.ask("delete", "table", family, ByteString(uplink.device))
            }
        }
        try? removeFile(folder.uplink)
    }

    public func hindranceOfIPv6() -> String? {
        let found = try? namespace.outside { () throws(FabricFault) in ForwardingSwitch.missing }
        return found ?? nil
    }

    public func obstacles() -> [String] { hindrances().map { $0.description } }

    /// Chains of the computer's own that drop what goes out, unless a rule of theirs lets it through.
    func hindrances() -> [ForwardingChain] {
        let found = try? namespace.outside { () throws(FabricFault) -> [ForwardingChain] in
            guard let listing = Rules.ask("list", "chains") else { return [] }
            return ForwardingChain.dropping(listing.description).filter { chain in
                // Who names the link has thought of it.
                let rules = Rules.ask("list", "table", ByteString(chain.family), ByteString(chain.table))
                return rules.map { !ForwardingChain.names($0.description, Uplink.prefix) } ?? true
            }
        }
        return found ?? []
    }
}
