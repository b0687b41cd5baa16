import AgentProtocol
import FabricProtocol

/// Networks that a machine leads out of, or nobody.
extension NetworkStore {
    static func check(_ wish: Wish) throws(NetworkError) {
        guard let gateways = wish.gateways else { return }
        guard wish.reachesOutside, wish.reachableNetworks.isEmpty else {
            throw NetworkError(
                .invalidSetting,
                "what machines of a network reach whose gateway is a machine is that one's to say; leave out --isolated and --reach, or --gateway"
            )
        }
        for (place, gateway) in gateways.enumerated() {
            if gateways[..<place].contains(where: { $0.family == gateway.family }) {
                throw NetworkError(
                    .invalidSetting, "a network has one gateway of IPv4 and one of IPv6 at most (--gateway)")
            }
            guard wish.prefixes.contains(where: { $0.family == gateway.family }) else {
                let length = gateway.family == .v4 ? 24 : 64
                let prefix = NetworkPrefix(gateway, length: UInt8(length)).map { "\($0)" } ?? ""
                throw NetworkError(
                    .invalidSetting,
                    "the gateway \(gateway) is an address of the network, whose subnet is to be said as well: --subnet \(prefix)"
                )
            }
        }
    }

    static func check(_ gateways: [IPAddress], in prefixes: [NetworkPrefix]) throws(NetworkError) {
        for gateway in gateways {
            let prefix = prefixes.first { $0.contains(gateway) }
            guard let prefix, gateway != prefix.base, gateway != prefix.broadcast else {
                throw NetworkError(
                    .invalidSetting,
                    "\(gateway) is no machine's address in \(prefixes.map(\.description).joined(separator: ", ")); choose another one (--gateway)"
                )
            }
        }
    }

    static func check(reaching other: NetworkRecord) throws(NetworkError) {
        if other.isRouted { return }
        let leader = other.gateways?.first.map { "; it is reached by what leads to it, \($0)" } ?? ""
        throw NetworkError(
            .invalidSetting, "nothing leads from networks to \"\(other.name)\" by itself (--reach)\(leader)")
    }
}
