import FoundationEssentials

/// What the monitor has counted since it began. Source: `GET /swiftlet/counters`, Documentation/firecracker.md.
///
/// Trust: the monitor's word, which may be its guest's.
struct MonitorCounters: Decodable {
    struct Drive: Decodable {
        var drive_id: String
        var read_bytes: UInt64
        var read_count: UInt64
        var write_bytes: UInt64
        var write_count: UInt64
        var rate_limiter_throttled_events: UInt64
    }

    struct Interface: Decodable {
        var iface_id: String
        var rx_bytes_count: UInt64
        var rx_packets_count: UInt64
        var tx_bytes_count: UInt64
        var tx_packets_count: UInt64
    }

    struct Balloon: Decodable {
        var target_mib: Int
        var actual_mib: Int
    }

    var cpu_time_us: UInt64
    var drives: [Drive]
    var interfaces: [Interface]
    var balloon: Balloon?

    enum CodingKeys: String, CodingKey {
        case cpu_time_us, drives, balloon
        case interfaces = "network-interfaces"
    }
}

extension MonitorControl {
    func counters() throws(FleetError) -> MonitorCounters {
        let bytes = try order("GET", "/swiftlet/counters", "")
        guard let counters = try? JSONDecoder().decode(MonitorCounters.self, from: Data(bytes)) else {
            throw FleetError(.notControlled, "the monitor of \"\(name)\" gave an answer that cannot be read")
        }
        return counters
    }

    /// - Throws: where the machine has no memory that could be plugged, too.
    func pluggedMemory() throws(FleetError) -> PluggedMemory {
        let bytes = try order("GET", "/hotplug/memory", "")
        guard let memory = try? JSONDecoder().decode(PluggedMemory.self, from: Data(bytes)) else {
            throw FleetError(.notControlled, "the monitor of \"\(name)\" gave an answer that cannot be read")
        }
        return memory
    }

    /// Has a device of the machine be other than it is.
    func change(_ resource: String, _ body: String) throws(FleetError) { try order("PATCH", resource, body) }
}
