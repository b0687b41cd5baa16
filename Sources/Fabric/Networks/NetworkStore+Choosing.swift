public import AgentProtocol
import FabricProtocol

/// Choosing numbers and addresses. The store's lock is held.
extension NetworkStore {
    /// Networks that may choose get a part of it. Nobody else on this computer is asked, since what is in a fabric is seen in
    /// no other network.
    private static let pool = (first: UInt8(10), second: UInt8(190), prefixLength: UInt8(24))

    static func freeNumber(_ others: [NetworkRecord]) throws(NetworkError) -> UInt16 {
        let taken = Set(others.map(\.number))
        guard let number = FabricNetwork.numbers.first(where: { !taken.contains($0) }) else {
            throw NetworkError(.exhausted, "there are \(others.count) networks, and no more can be made")
        }
        return number
    }

    static func prefixes(_ wish: Wish, _ others: [NetworkRecord]) throws(NetworkError) -> [NetworkPrefix] {
        var prefixes = wish.prefixes
        for (place, prefix) in prefixes.enumerated() {
            guard prefix.hostBits >= 2 else {
                throw NetworkError(
                    .invalidSetting,
                    "\(prefix) has no room for a gateway and a machine; give a shorter prefix (--subnet)")
            }
            guard !prefixes[..<place].contains(where: { $0.family == prefix.family }) else {
                throw NetworkError(
                    .invalidSetting, "a network has one subnet of IPv4 and one of IPv6 at most (--subnet)")
            }
            // What the fabric does not lead to may be there as often as one likes: each customer's 192.168.1.0/24.
            let routed = wish.gateways == nil ? others.filter(\.isRouted) : []
            if let other = routed.first(where: { $0.addressing.contains(where: prefix.overlaps) }) {
                throw NetworkError(
                    .overlap,
                    "\(prefix) overlaps with the network \"\(other.name)\" (\(other.prefixes.joined(separator: ", "))); choose another one (--subnet)"
                )
            }
            try checkReservation(prefix)
        }
        if !prefixes.contains(where: { $0.family == .v4 }) { prefixes.insert(try freeIPv4(others), at: 0) }
        if wish.hasIPv6, !prefixes.contains(where: { $0.family == .v6 }) { prefixes.append(try freeIPv6(others)) }
        return prefixes
    }

    static func checkReservation(_ prefix: NetworkPrefix) throws(NetworkError) {
        guard let reservation = prefix.reservation else { return }
        throw NetworkError(
            .invalidSetting,
            "no network can have \(prefix): \(reservation.prefix) is \(reservation.meaning); choose another one, such as 10.20.0.0/16 or fd00:20::/64 (--subnet)"
        )
    }

    private static func freeIPv4(_ others: [NetworkRecord]) throws(NetworkError) -> NetworkPrefix {
        for third in UInt8.min...UInt8.max {
            let base = IPAddress(v4: pool.first, pool.second, third, 0)
            if let prefix = NetworkPrefix(base, length: pool.prefixLength),
                !others.contains(where: { $0.addressing.contains(where: prefix.overlaps) })
            {
                return prefix
            }
        }
        throw NetworkError(.exhausted, "all subnets of 10.190.0.0/16 are taken; give one with --subnet")
    }

    /// Unique and local, of random bits. Source: RFC 4193 §3.
    private static func freeIPv6(_ others: [NetworkRecord]) throws(NetworkError) -> NetworkPrefix {
        for _ in 0..<64 {
            let drawn = (0..<5).map { _ in UInt8.random(in: .min ... .max) }
            if let base = IPAddress(networkOrder: [0xfd] + drawn + [UInt8](repeating: 0, count: 10)),
                let prefix = NetworkPrefix(base, length: 64),
                !others.contains(where: { $0.addressing.contains(where: prefix.overlaps) })
            {
                return prefix
            }
        }
        throw NetworkError(.exhausted, "no subnet of IPv6 was found that is free; give one with --subnet")
    }
}

extension NetworkRecord {
    /// The lowest free address of each of its prefixes, or those that are asked for.
    /// - Parameters:
    ///   - wanted: of the families that are to be chosen by others.
    ///   - taken: by machines that are on record.
    public func addresses(wanted: [IPAddress], taken: Set<IPAddress>) throws(NetworkError) -> [IPAddress] {
        // Somebody may have made it before such were refused.
        for prefix in addressing { try NetworkStore.checkReservation(prefix) }
        for address in wanted {
            guard let prefix = addressing.first(where: { $0.contains(address) }) else {
                throw NetworkError(
                    .invalidSetting,
                    "\(address) is none of the addresses of \"\(name)\" (\(prefixes.joined(separator: ", ")))")
            }
            let own = isRouted ? prefix.gateway : nil
            guard address != own, address != prefix.broadcast, address != prefix.base else {
                throw NetworkError(
                    .invalidSetting, "\(address) is the network's own in \"\(name)\"; choose another one")
            }
            guard !taken.contains(address) else {
                throw NetworkError(.inUse, "another machine has \(address) in \"\(name)\"; choose another one, or none")
            }
        }
        // Who is asked to lead out does so for both families.
        let leads = !isRouted && wanted.contains(where: gatewayAddresses.contains)
        var addresses: [IPAddress] = []
        for prefix in addressing {
            if leads, !wanted.contains(where: { $0.family == prefix.family }),
                let gateway = gatewayAddresses.first(where: prefix.contains), !taken.contains(gateway)
            {
                addresses.append(gateway)
            } else if let own = wanted.first(where: { $0.family == prefix.family }) {
                addresses.append(own)
            } else {
                addresses.append(try free(in: prefix, taken))
            }
        }
        return addresses
    }

    private func free(in prefix: NetworkPrefix, _ taken: Set<IPAddress>) throws(NetworkError) -> IPAddress {
        let gateways = gatewayAddresses
        // Among two more than are taken, one is free and nobody's gateway.
        for place in 1...UInt64(taken.count + 3) {
            guard let address = prefix.address(place), address != prefix.broadcast else { break }
            if !taken.contains(address), !gateways.contains(address) { return address }
        }
        throw NetworkError(
            .exhausted, "all addresses of \"\(name)\" (\(prefix)) are taken; remove machines, or make a larger network")
    }
}
