import LinuxCalls
import WireFormats

/// What has been used up to now, device by device. Ours.
extension APIService {
    func counters() -> JSONValue {
        var members = [JSONMember("cpu_time_us", .integer(Int64(clamping: Clock.processor.nanoseconds() / 1000)))]
        members.append(
            JSONMember(
                "drives",
                list(
                    kept.drives, "drive_id", "block_",
                    ["read_bytes", "read_count", "write_bytes", "write_count", "rate_limiter_throttled_events"])))
        members.append(
            JSONMember(
                "network-interfaces",
                list(
                    kept.interfaces, "iface_id", "net_",
                    [
                        "rx_bytes_count", "rx_packets_count", "tx_bytes_count", "tx_packets_count",
                        "rx_rate_limiter_throttled", "tx_rate_limiter_throttled",
                    ])))
        if let balloon = control.balloon {
            members.append(
                JSONMember(
                    "balloon",
                    .object([
                        JSONMember("target_mib", .integer(Int64(balloon.targetPages / 256))),
                        JSONMember("actual_mib", .integer(Int64(balloon.actualPages / 256))),
                    ])))
        }
        return .object(members)
    }

    private func list(_ devices: [JSONValue], _ identifier: String, _ group: String, _ names: [String]) -> JSONValue {
        .array(
            devices.map { device in
                let name = device.text(identifier) ?? ""
                var members = [JSONMember(identifier, .string(name))]
                for each in names {
                    members.append(JSONMember(each, .integer(Int64(clamping: control.count(group + name, each)))))
                }
                return .object(members)
            })
    }
}
