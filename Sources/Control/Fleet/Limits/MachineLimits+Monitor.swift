/// Limits in the monitor's words.
extension MachineLimits {
    /// The device of the monitor's drive, as the guest calls it.
    static func disk(_ index: Int?) -> String {
        index.map { String(MonitorConfiguration.device($0).dropFirst(5)) } ?? "vda"
    }

    /// - Returns: nil where neither is limited.
    static func limiter(_ bandwidth: RateLimit, _ operations: RateLimit) -> String? {
        guard bandwidth != .unlimited || operations != .unlimited else { return nil }
        var buckets: [String] = []
        if bandwidth != .unlimited { buckets.append("\"bandwidth\":\(bandwidth.bucketJSON)") }
        if operations != .unlimited { buckets.append("\"ops\":\(operations.bucketJSON)") }
        return "{\(buckets.joined(separator: ","))}"
    }

    /// Both, also where they are to go.
    private static func change(_ bandwidth: RateLimit, _ operations: RateLimit) -> String {
        "{\"bandwidth\":\(bandwidth.bucketJSON),\"ops\":\(operations.bucketJSON)}"
    }

    /// What `rate_limiter` of a drive says.
    func diskLimiter(_ device: String) -> String? { Self.limiter(diskBandwidth[device], diskOperations[device]) }
    func receiveLimiter(_ place: String) -> String? { Self.limiter(networkIn[place], networkInPackets[place]) }
    func transmitLimiter(_ place: String) -> String? { Self.limiter(networkOut[place], networkOutPackets[place]) }

    /// A request to the monitor's control socket.
    struct Request: Equatable {
        let resource: String
        let body: String
    }

    /// What makes these limits of those that a machine has. Buckets of devices whose limits stay are left as they are.
    func requests(
        from before: MachineLimits, _ record: MachineRecord, attached: [DeviceAttachment] = []
    ) -> [Request] {
        var requests: [Request] = []
        let specification = record.specification
        let drives =
            [("root", Self.disk(nil))]
            + specification.allDisks.indices.map { ("disk\($0)", Self.disk($0)) }
            + attached.filter { $0.disk != nil }.map { ($0.id, $0.guestName ?? $0.id) }
        for (drive, device) in drives where diskLimiter(device) != before.diskLimiter(device) {
            requests.append(
                Request(
                    resource: "/drives/\(drive)",
                    body:
                        "{\"drive_id\":\"\(drive)\",\"rate_limiter\":\(Self.change(diskBandwidth[device], diskOperations[device]))}"
                ))
        }
        let interfaces =
            record.interfaces.filter { $0.hostDevice != nil }.map { ($0.place, $0.place) }
            + attached.filter { $0.disk == nil }.map { ($0.id, $0.guestName ?? $0.id) }
        for (identifier, place) in interfaces {
            guard
                receiveLimiter(place) != before.receiveLimiter(place)
                    || transmitLimiter(place) != before.transmitLimiter(place)
            else { continue }
            requests.append(
                Request(
                    resource: "/network-interfaces/\(identifier)",
                    body:
                        "{\"iface_id\":\"\(identifier)\",\"rx_rate_limiter\":\(Self.change(networkIn[place], networkInPackets[place])),\"tx_rate_limiter\":\(Self.change(networkOut[place], networkOutPackets[place]))}"
                ))
        }
        return requests
    }
}
