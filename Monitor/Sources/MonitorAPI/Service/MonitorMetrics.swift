import LinuxCalls
import WireFormats

/// The counters of the API and of the machine's devices, written as one line of JSON each time.
///
/// The file is opened to be appended to; each line counts since the one before, as clients of Firecracker expect.
public final class MonitorMetrics {
    private var file: Int32?
    /// Requests and failures of each operation with a name for them; since the last line.
    private var counts: [(requests: UInt64, failures: UInt64)]
    private var deprecatedCalls: UInt64 = 0
    /// What each group of the machine's stood at when the line before was written.
    private var before: [(group: String, values: [UInt64])] = []
    /// How long the last request of each kind took; what there was none of is not here.
    private var latencies: [(name: String, microseconds: UInt64)] = []
    private let startupMicroseconds: UInt64
    private let startupProcessorMicroseconds: UInt64
    private var isFirst = true
    private let log: MonitorLog
    private var missed: UInt64 = 0

    public init(log: MonitorLog, startupMicroseconds: UInt64 = 0, startupProcessorMicroseconds: UInt64 = 0) {
        self.log = log
        self.startupMicroseconds = startupMicroseconds
        self.startupProcessorMicroseconds = startupProcessorMicroseconds
        counts = Operation.all.map { _ in (0, 0) }
    }

    public var isOpen: Bool { file != nil }

    /// - Parameter output: a descriptor to write to from now on, for as long as the process lives.
    public func open(_ output: Int32) { file = output }

    func count(_ operation: Operation, failed: Bool) {
        guard operation.metric != nil else { return }
        guard
            let index = Operation.all.firstIndex(where: {
                $0.method == operation.method && $0.metric == operation.metric
            })
        else { return }
        if failed { counts[index].failures += 1 } else { counts[index].requests += 1 }
    }

    /// Notes for how long something took.
    func note(_ name: String, microseconds: UInt64) {
        latencies.removeAll { $0.name == name }
        latencies.append((name, microseconds))
    }

    func countDeprecated() { deprecatedCalls += 1 }

    /// Writes a line, if there is a file to write to.
    /// - Parameters:
    ///   - drives: their names, those of drives with a backend, and those of the interfaces; each has a group of its own.
    public func flush(
        _ control: any MachineControl, drives: [String] = [], backedDrives: [String] = [], interfaces: [String] = []
    ) {
        guard let file else { return }
        var line: [UInt8] = []
        line.add("{\"utc_timestamp_ms\":\(Clock.realTime.nanoseconds() / 1_000_000)")
        for group in MetricGroup.all {
            switch group.source {
            case .requests(let method): write(group.name, method, to: &line)
            case .own: writeOwn(group, to: &line)
            case .machine:
                let isOfBackends = group.name == "vhost_user_block"
                let members =
                    group.name == "block"
                    ? drives : group.name == "net" ? interfaces : isOfBackends ? backedDrives : []
                for member in members { writeMachine(group, group.name + "_" + member, control, to: &line) }
                if !isOfBackends { writeMachine(group, group.name, control, to: &line) }
            }
        }
        line.add("}\n")
        isFirst = false
        do throws(LinuxError) {
            try writeAll(file, line)
        } catch {
            missed += 1
            return
        }
        for index in counts.indices { counts[index] = (0, 0) }
        deprecatedCalls = 0
    }

    private func writeMachine(
        _ group: MetricGroup, _ name: String, _ control: any MachineControl, to line: inout [UInt8]
    ) {
        let place: Int
        if let found = before.firstIndex(where: { $0.group == name }) {
            place = found
        } else {
            place = before.count
            before.append((name, group.names.map { _ in 0 }))
        }
        line.add(",\"\(name)\":{")
        for (index, counter) in group.names.enumerated() {
            let now = control.count(name, counter)
            Self.write(counter, now &- before[place].values[index], isFirst: index == 0, to: &line)
            before[place].values[index] = now
        }
        line.append(UInt8(ascii: "}"))
    }

    /// What ends in `_agg` stands for three figures of times, which are not taken here.
    private static func write(_ name: String, _ value: UInt64, isFirst: Bool, to line: inout [UInt8]) {
        line.add("\(isFirst ? "" : ",")\"\(name)\":")
        let isAggregate = name.utf8.suffix(4).elementsEqual("_agg".utf8)
        line.add(isAggregate ? "{\"min_us\":0,\"max_us\":0,\"sum_us\":0}" : "\(value)")
    }

    private func write(_ name: String, _ method: HTTPRequest.Method, to line: inout [UInt8]) {
        line.add(",\"\(name)\":{")
        var isFirst = true
        for (index, operation) in Operation.all.enumerated() where operation.method == method {
            guard let metric = operation.metric,
                Operation.all.firstIndex(where: { $0.method == method && $0.metric == metric }) == index
            else { continue }
            Self.write(metric + "_count", counts[index].requests, isFirst: isFirst, to: &line)
            if method != .get { Self.write(metric + "_fails", counts[index].failures, isFirst: false, to: &line) }
            isFirst = false
        }
        line.append(UInt8(ascii: "}"))
    }

    private func writeOwn(_ group: MetricGroup, to line: inout [UInt8]) {
        line.add(",\"\(group.name)\":{")
        for (index, name) in group.names.enumerated() {
            let value: UInt64 =
                switch name {
                case "process_startup_time_us": isFirst ? startupMicroseconds : 0
                case "process_startup_time_cpu_us": isFirst ? startupProcessorMicroseconds : 0
                case "deprecated_http_api_calls": deprecatedCalls
                case "missed_log_count": log.lostLines
                case "missed_metrics_count": missed
                default: latencies.first { $0.name == name }?.microseconds ?? 0
                }
            Self.write(name, value, isFirst: index == 0, to: &line)
        }
        line.append(UInt8(ascii: "}"))
    }
}

/// One object of the line: which names it has, in the original's order, and who knows their values.
struct MetricGroup: Sendable {
    enum Source: Sendable { case own, machine, requests(HTTPRequest.Method) }

    let name: String
    let source: Source
    let names: [String]

    static let all: [MetricGroup] = [
        .init(
            name: "api_server", source: .own,
            names: [
                "process_startup_time_us", "process_startup_time_cpu_us", "sync_response_fails",
                "sync_vmm_send_timeout_count",
            ]),
        .init(
            name: "balloon", source: .machine,
            names: [
                "activate_fails", "inflate_count", "stats_updates_count", "stats_update_fails", "deflate_count",
                "event_fails", "free_page_report_count", "free_page_report_freed", "free_page_hint_count",
                "free_page_hint_freed",
            ]),
        .init(
            name: "block", source: .machine,
            names: [
                "activate_fails", "cfg_fails", "no_avail_buffer", "event_fails", "execute_fails",
                "invalid_reqs_count", "flush_count", "queue_event_count", "rate_limiter_event_count", "update_count",
                "update_fails", "read_bytes", "write_bytes", "read_count", "write_count", "read_agg", "write_agg",
                "rate_limiter_throttled_events", "io_engine_throttled_events", "remaining_reqs_count",
            ]),
        .init(
            name: "deprecated_api", source: .own,
            names: ["deprecated_http_api_calls", "deprecated_cmd_line_api_calls"]),
        .init(name: "get_api_requests", source: .requests(.get), names: []),
        .init(
            name: "i8042", source: .own,
            names: [
                "error_count", "missed_read_count", "missed_write_count", "read_count", "reset_count", "write_count",
            ]),
        .init(
            name: "uart", source: .machine,
            names: [
                "error_count", "flush_count", "missed_read_count", "missed_write_count", "read_count", "write_count",
            ]),
        .init(
            name: "latencies_us", source: .own,
            names: [
                "full_create_snapshot", "diff_create_snapshot", "load_snapshot", "pause_vm", "resume_vm",
                "vmm_full_create_snapshot", "vmm_diff_create_snapshot", "vmm_load_snapshot", "vmm_pause_vm",
                "vmm_resume_vm",
            ]),
        .init(
            name: "logger", source: .own,
            names: ["missed_metrics_count", "metrics_fails", "missed_log_count", "log_fails"]),
        .init(
            name: "mmds", source: .machine,
            names: [
                "rx_accepted", "rx_accepted_err", "rx_accepted_unusual", "rx_bad_eth", "rx_count", "tx_bytes",
                "tx_count", "tx_errors", "tx_frames", "connections_created", "connections_destroyed",
            ]),
        .init(
            name: "net", source: .machine,
            names: [
                "activate_fails", "cfg_fails", "mac_address_updates", "no_rx_avail_buffer", "no_tx_avail_buffer",
                "event_fails", "rx_queue_event_count", "rx_event_rate_limiter_count", "rx_partial_writes",
                "rx_rate_limiter_throttled", "rx_tap_event_count", "rx_bytes_count", "rx_packets_count", "rx_fails",
                "rx_count", "tap_read_fails", "tap_write_fails", "tap_write_agg", "tx_bytes_count",
                "tx_malformed_frames", "tx_fails",
                "tx_count", "tx_packets_count", "tx_partial_reads", "tx_queue_event_count",
                "tx_rate_limiter_event_count", "tx_rate_limiter_throttled", "tx_spoofed_mac_count",
                "tx_remaining_reqs_count",
            ]),
        .init(name: "patch_api_requests", source: .requests(.patch), names: []),
        .init(name: "put_api_requests", source: .requests(.put), names: []),
        .init(name: "seccomp", source: .own, names: ["num_faults"]),
        .init(
            name: "vcpu", source: .own,
            names: [
                "exit_io_in", "exit_io_out", "exit_mmio_read", "exit_mmio_write", "failures", "kvmclock_ctrl_fails",
                "exit_io_in_agg", "exit_io_out_agg", "exit_mmio_read_agg", "exit_mmio_write_agg",
            ]),
        .init(name: "vmm", source: .own, names: ["device_events", "panic_count"]),
        .init(
            name: "signals", source: .own,
            names: ["sigbus", "sigsegv", "sigxfsz", "sigxcpu", "sigpipe", "sighup", "sigill"]),
        .init(
            name: "vsock", source: .machine,
            names: [
                "activate_fails", "cfg_fails", "rx_queue_event_fails", "tx_queue_event_fails",
                "ev_queue_event_fails", "muxer_event_fails", "conn_event_fails", "rx_queue_event_count",
                "tx_queue_event_count", "rx_bytes_count", "tx_bytes_count", "rx_packets_count", "tx_packets_count",
                "conns_added", "conns_killed", "conns_removed", "killq_resync", "tx_flush_fails", "tx_write_fails",
                "rx_read_fails",
            ]),
        .init(
            name: "entropy", source: .machine,
            names: [
                "activate_fails", "entropy_event_fails", "entropy_event_count", "entropy_bytes", "host_rng_fails",
                "entropy_rate_limiter_throttled", "rate_limiter_event_count",
            ]),
        .init(
            name: "memory_hotplug", source: .machine,
            names: [
                "queue_event_fails", "plug_count", "plug_bytes", "plug_fails", "unplug_count", "unplug_bytes",
                "unplug_fails", "unplug_all_count", "state_count",
            ]),
        // There is one for each such drive, and none for all.
        .init(
            name: "vhost_user_block", source: .machine,
            names: [
                "activate_fails", "cfg_fails", "init_time_us", "activate_time_us", "config_change_time_us",
                "backend_losses",
            ]),
    ]
}
