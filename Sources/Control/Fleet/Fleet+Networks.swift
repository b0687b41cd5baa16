import HostFiles

extension MachineFleet {
    /// CAP_NET_ADMIN. Source: linux/capability.h.
    private static let networkRight: UInt64 = 1 << 12
    private static let byHand =
        "ip tuntap add dev tap0 mode tap user $USER && ip address add 10.0.0.1/24 dev tap0 && ip link set tap0 up"

    /// Whether a monitor that is started there can have the network.
    static func check(_ network: MachineNetwork, isEmulated: Bool) throws(FleetError) {
        switch network {
        // Who makes a fabric says what that takes.
        case .none, .fabric, .wire: return
        case .ownTap, .bareTap:
            guard isEmulated || hasNetworkRight() else {
                throw FleetError(
                    .unusableNetwork,
                    "making a TAP device takes CAP_NET_ADMIN, which this user has not; have a network (swiftlet network create lan), or let root make one (\(byHand)) and name it: --network tap:tap0,address=10.0.0.2/24,gateway=10.0.0.1"
                )
            }
        case .tap(let name, _, _):
            guard !isEmulated else {
                throw FleetError(
                    .unusableNetwork,
                    "the TAP device \"\(name)\" is this computer's, and machines run in the emulated host here; use --network tap, which makes one there"
                )
            }
            guard HostPath("/sys/class/net/\(name)/tun_flags").exists else {
                throw FleetError(
                    .unusableNetwork,
                    "there is no TAP device \"\(name)\"; use --network tap, which makes one, or make it as root: \(byHand.replacing("tap0", with: name))"
                )
            }
        }
    }

    /// Of this process, by what the kernel says of it; a monitor that is started has the same rights.
    private static func hasNetworkRight() -> Bool {
        guard let bytes = try? HostPath("/proc/self/status").readWhole(limit: 64 << 10) else { return false }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix("CapEff:") {
            let digits = line.dropFirst(7).drop { $0 == "\t" || $0 == " " }
            return (UInt64(digits, radix: 16) ?? 0) & networkRight != 0
        }
        return false
    }
}
