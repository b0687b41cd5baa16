import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls
import Wiring

/// A pair of devices with an address each, one in the fabric and one on the computer's side, which forwards from it, with
/// its own addresses in the place of the fabric's.
struct Uplink {
    private static let numbers: Range<UInt8> = 0..<64
    private static let prefixLength: UInt8 = 30
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
        }
        try setRules(ports)
    }

    /// Puts the rules of the computer's side in the place of those that there were.
    func setRules(_ ports: [FabricPort]) throws(FabricFault) {
        // What this computer connects to by its loopback's address comes and goes over the link with that.
        let isNeeded = ports.contains { !$0.published.isEmpty }
        if isNeeded, let file = try? open("/proc/sys/net/ipv4/conf/\(device)/route_localnet", .writeOnly) {
            try? writeAll(file.number, "1")
        }
        do throws(FabricFault) {
            try Rules.set(PublishingRules.outside(ports, device: device, inner: inner))
        } catch {
            throw FabricFault("the computer's rules for the link out of the fabric cannot be set: \(error)")
        }
    }

    /// Has an end be up with its address.
    static func give(_ address: IPAddress, to link: Link, _ links: inout Links) throws(LinuxError) {
        let own = Interface.Address(address, prefixLength: prefixLength)
        if try !links.addresses(of: link.index).contains(own) { try links.add(own, to: link.index) }
        if !link.isUp { try links.set(link.index, isUp: true) }
    }

    static func translate<Result>(_ body: () throws(LinuxError) -> Result) throws(FabricFault) -> Result {
        do throws(LinuxError) { return try body() } catch {
            throw FabricFault("the link out of the fabric cannot be made: \(error)")
        }
    }
}
