import LegacyDevices
import MachineConfiguration
import VirtioDevices

/// What the devices have counted, by Firecracker's names; what this machine does not count is zero.
extension Machine {
    /// - Parameter group: `uart`, `block`, `net`, `mmds`, `vsock`, `entropy`, `balloon` or `pmem`, `memory_hotplug`: all devices of the kind together; or `block_ID`,
    ///   `vhost_user_block_ID` or `net_ID`: one of them.
    public func count(_ group: String, _ name: String) -> UInt64 {
        if group == "uart" { return name == "missed_write_count" ? serialPort?.droppedBytes ?? 0 : 0 }
        var sum: UInt64 = 0
        for device in devices {
            switch device.handle {
            case .drive(let device, let drive):
                if group == "block" || group == "block_" + drive.id { sum &+= Self.count(device, name) }
            case .backedDrive(let device, let identifier):
                if group == "vhost_user_block_" + identifier { sum &+= Self.count(device.metrics, name) }
            case .interface(let device, let identifier):
                if group == "net" || group == "net_" + identifier { sum &+= Self.count(device, name) }
                if group == "mmds" { sum &+= device.metadataCount(name) }
            case .vsock(let device): if group == "vsock" { sum &+= Self.count(device.metrics, name) }
            case .entropy(let device): if group == "entropy" { sum &+= Self.count(device, name) }
            case .balloon(let device): if group == "balloon" { sum &+= Self.count(device.metrics, name) }
            case .memory(let device): if group == "memory_hotplug" { sum &+= Self.count(device.metrics, name) }
            case .persistentMemory(let device, let identifier):
                if group == "pmem" || group == "pmem_" + identifier { sum &+= Self.count(device.metrics, name) }
            case .other: break
            }
        }
        return sum
    }

    private static func count(_ device: BlockDevice, _ name: String) -> UInt64 {
        let metrics = device.metrics
        return switch name {
        case "read_count": metrics.reads.value
        case "read_bytes": metrics.readBytes.value
        case "write_count": metrics.writes.value
        case "write_bytes": metrics.writtenBytes.value
        case "flush_count": metrics.flushes.value
        case "execute_fails": metrics.hostErrors.value
        case "invalid_reqs_count": metrics.badRequests.value &+ metrics.unsupportedRequests.value
        case "event_fails": metrics.queueFaults.value
        case "queue_event_count": metrics.wakeUps.value
        case "update_count": metrics.replacements.value
        case "rate_limiter_throttled_events": device.limiter.throttled.value
        default: 0
        }
    }

    private static func count(_ metrics: VhostUserBlockMetrics, _ name: String) -> UInt64 {
        switch name {
        case "activate_fails": metrics.failedActivations.value
        case "cfg_fails": metrics.failedRefreshes.value
        case "backend_losses": metrics.losses.value
        default: 0
        }
    }

    private static func count(_ device: NetDevice, _ name: String) -> UInt64 {
        let metrics = device.metrics
        return switch name {
        case "rx_packets_count", "rx_count": metrics.receivedFrames.value
        case "rx_bytes_count": metrics.receivedBytes.value
        case "tx_packets_count", "tx_count": metrics.sentFrames.value
        case "tx_bytes_count": metrics.sentBytes.value
        case "tx_malformed_frames": metrics.malformedFrames.value
        case "tap_write_fails": metrics.droppedFrames.value
        case "no_rx_avail_buffer": metrics.guestFull.value
        case "event_fails": metrics.queueFaults.value
        case "rx_rate_limiter_throttled": device.receiveLimiter.throttled.value
        case "tx_rate_limiter_throttled": device.transmitLimiter.throttled.value
        default: 0
        }
    }

    private static func count(_ metrics: VsockMetrics, _ name: String) -> UInt64 {
        switch name {
        case "rx_bytes_count": metrics.bytesToGuest.value
        case "tx_bytes_count": metrics.bytesToHost.value
        case "rx_packets_count": metrics.packetsToGuest.value
        case "tx_packets_count": metrics.packetsFromGuest.value
        case "conns_added": metrics.connectionsEstablished.value
        case "conns_killed": metrics.timeouts.value
        default: 0
        }
    }

    private static func count(_ device: EntropyDevice, _ name: String) -> UInt64 {
        switch name {
        case "entropy_event_count": device.metrics.requests.value
        case "entropy_bytes": device.metrics.bytes.value
        case "host_rng_fails": device.metrics.hostErrors.value
        case "entropy_event_fails": device.metrics.queueFaults.value
        case "entropy_rate_limiter_throttled": device.limiter.throttled.value
        default: 0
        }
    }

    private static func count(_ metrics: PersistentMemoryMetrics, _ name: String) -> UInt64 {
        switch name {
        case "queue_event_count": metrics.flushes.value
        case "event_fails": metrics.queueFaults.value
        default: 0
        }
    }

    private static func count(_ metrics: MemoryMetrics, _ name: String) -> UInt64 {
        switch name {
        case "queue_event_fails": metrics.queueFaults.value
        case "plug_count": metrics.plugs.value
        case "plug_bytes": metrics.pluggedBytes.value
        case "plug_fails": metrics.plugFailures.value
        case "unplug_count": metrics.unplugs.value
        case "unplug_bytes": metrics.unpluggedBytes.value
        case "unplug_fails": metrics.unplugFailures.value
        case "unplug_all_count": metrics.unplugAlls.value
        case "state_count": metrics.states.value
        default: 0
        }
    }

    private static func count(_ metrics: BalloonMetrics, _ name: String) -> UInt64 {
        switch name {
        case "inflate_count": metrics.inflatedPages.value
        case "deflate_count": metrics.deflatedPages.value
        case "stats_updates_count": metrics.statisticsUpdates.value
        case "free_page_report_count": metrics.reportedRanges.value
        case "free_page_report_freed": metrics.reportedBytes.value
        case "free_page_hint_count": metrics.hintedRanges.value
        case "free_page_hint_freed": metrics.hintedBytes.value
        case "event_fails": metrics.queueFaults.value
        default: 0
        }
    }
}
