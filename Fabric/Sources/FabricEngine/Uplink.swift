import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls
import Wiring

/// A pair of devices with an address each, one in the fabric and one on the computer's side, which forwards from it, with
/// its own addresses in the place of the fabric's.
struct Uplink {
    private static let numbers: Range<UInt8> = 0..<64
    static let prefixLength: UInt8 = 30
    static let prefix = "swiftlet-up"

    let number: UInt8

    init?(number: UInt8) {
        guard Self.numbers.contains(number) else { return nil }
        self.number = number
    }

    /// On the computer's side, and the table of its rules. No two fabrics have one name, so no two have one address.
    var device: String { Self.prefix + String(number) }
    var outer: IPAddress { IPAddress(v4: 10, 189, 255, number * 4 + 1) }
    var inner: IPAddress { IPAddress(v4: 10, 189, 255, number * 4 + 2) }
    /// Of fd10:189:255::/64, where the computer has IPv6.
    var outerV6: IPAddress? { Self.address([0xfd, 0x10, 0x01, 0x89, 0x02, 0x55], number * 4 + 1) }
    var innerV6: IPAddress? { Self.address([0xfd, 0x10, 0x01, 0x89, 0x02, 0x55], number * 4 + 2) }

    private static func address(_ first: [UInt8], _ last: UInt8) -> IPAddress? {
        IPAddress(networkOrder: first + [UInt8](repeating: 0, count: 15 - first.count) + [last])
    }

    // MARK: On the computer's side, in its namespace

    /// The one that the fabric's end leads to, whether or not it was written down which that is.
    static func present(_ near: Link?) throws(FabricFault) -> Uplink? {
        guard let near else { return nil }
        return try translate { () throws(LinuxError) -> Uplink? in
            var links = try Links()
            for number in numbers {
                guard let uplink = Uplink(number: number) else { continue }
                if let far = try links.find(ByteString(uplink.device)), far.index == near.peer, far.peer == near.index {
                    return uplink
                }
            }
            return nil
        }
    }

    /// A new one, with the number that it had before or the first that nobody has.
    /// - Parameter fabric: a descriptor of the fabric's namespace.
    static func made(_ known: UInt8?, _ fabric: Int32) throws(FabricFault) -> Uplink {
        for number in [known].compactMap({ $0 }) + Array(numbers) {
            guard let uplink = Uplink(number: number) else { continue }
            let isMade = try translate { () throws(LinuxError) -> Bool in
                var links = try Links()
                do throws(LinuxError) {
                    try links.makePair(
                        ByteString(uplink.device), peer: ByteString(RoutingRules.uplink), peerNamespace: fabric)
                    return true
                } catch {
                    if error == .exists { return false }
                    throw error
                }
            }
            if isMade { return uplink }
        }
        throw FabricFault("all \(numbers.count) links out of fabrics are taken")
    }

    /// Has the computer forward what comes from the fabric, with its own addresses.
    func lead(_ ports: [FabricPort]) throws(FabricFault) {
        try Self.translate { () throws(LinuxError) in
            var links = try Links()
            guard let link = try links.find(ByteString(device)) else { throw .noDevice }
            try Self.give(outer, to: link, &links)
            let switchFile = try open("/proc/sys/net/ipv4/ip_forward", .writeOnly)
            try writeAll(switchFile.number, "1")
            // A computer without IPv6 leads none.
            if let outerV6 { try? Self.give(v6: outerV6, to: link, &links) }
        }
        ForwardingSwitch.on(device)
        try setRules(ports)
    }

    /// Puts the rules of the computer's side in the place of those that there were.
    func setRules(_ ports: [FabricPort]) throws(FabricFault) {
        // What this computer connects to by its loopback's address comes and goes over the link with that.
        let isNeeded = ports.contains { !$0.published.isEmpty }
        if isNeeded, let file = try? open("/proc/sys/net/ipv4/conf/\(device)/route_localnet", .writeOnly) {
            try? writeAll(file.number, "1")
        }
        let hasV6 = try Self.translate { () throws(LinuxError) in try leadsV6(isNeeded) }
        // It may have been switched off since: other ports, and an engine that begins again, are not hindered by that.
        let stray = ports.lazy.flatMap { $0.published }.first { $0.address?.family == .v6 }
        if let stray, !hasV6 { EngineLog.write(withoutV6(stray)) }
        do throws(FabricFault) {
            let edge = PublishingRules.Edge(
                device: device, inner: [inner] + (hasV6 ? [innerV6].compactMap { $0 } : []),
                forwardsIPv6: ForwardingSwitch.isOn())
            try Rules.set(PublishingRules.outside(ports, edge))
        } catch {
            throw FabricFault("the computer's rules for the link out of the fabric cannot be set: \(error)")
        }
    }

    /// - Throws: when nothing of IPv6 goes over the link, to which the port would lead.
    func checkV6(for published: PublishedPort) throws(FabricFault) {
        let hasV6 = try Self.translate { () throws(LinuxError) in try leadsV6(false) }
        if !hasV6 { throw FabricFault(withoutV6(published)) }
    }

    private func withoutV6(_ published: PublishedPort) -> String {
        "\(published) leads nowhere: IPv6 is switched off for \(device) (net.ipv6.conf.\(device).disable_ipv6), or was, and swiftlet network repair puts that right"
    }

    /// Whether anything of IPv6 goes over the link.
    /// - Parameter isPublishing: whether it comes by the loopback's address, too.
    private func leadsV6(_ isPublishing: Bool) throws(LinuxError) -> Bool {
        var links = try Links()
        guard let outerV6, let link = try links.find(ByteString(device)),
            try links.addresses(of: link.index).contains(where: { $0.address == outerV6 })
        else { return false }
        // Behind the loopback's own, and each link's behind another one's.
        if isPublishing, let loopback = IPAddress("::1") {
            try links.deliver(loopback, over: link.index, metric: 2048 + UInt32(number))
        }
        return true
    }

    /// Has an end be up with its address.
    static func give(
        _ address: IPAddress, prefixLength: UInt8 = Self.prefixLength, to link: Link, _ links: inout Links
    ) throws(LinuxError) {
        let own = Interface.Address(address, prefixLength: prefixLength)
        if try !links.addresses(of: link.index).contains(own) { try links.add(own, to: link.index) }
        if !link.isUp { try links.set(link.index, isUp: true) }
    }

    /// Has an end that is up have its address, and one of the link alone: who forwards asks for its neighbours with that, and the kernel's own
    /// is not there at once, nor again when somebody has taken it away.
    static func give(v6 address: IPAddress, to link: Link, _ links: inout Links) throws(LinuxError) {
        guard let last = address.bytes.last, let local = Self.address([0xfe, 0x80], last) else { return }
        let present = try links.addresses(of: link.index)
        for own in [Interface.Address(address, prefixLength: 126), Interface.Address(local, prefixLength: 64)]
        where !present.contains(own) { try links.add(own, to: link.index) }
    }

    static func translate<Result>(_ body: () throws(LinuxError) -> Result) throws(FabricFault) -> Result {
        do throws(LinuxError) { return try body() } catch {
            throw FabricFault("the link out of the fabric cannot be made: \(error)")
        }
    }
}
