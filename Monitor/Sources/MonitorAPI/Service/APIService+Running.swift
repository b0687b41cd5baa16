import MachineConfiguration
import MetadataService
import WireFormats

/// Requests about the machine that runs, and the one that starts it.
extension APIService {
    func act(_ body: JSONValue) throws(Fault) {
        switch body.text("action_type") {
        case "InstanceStart": try start()
        case "SendCtrlAltDel":
            if state == .notStarted { throw Self.tooEarly }
            do throws(HostRefusal) { try control.pressControlAltDelete() } catch {
                throw Fault("Internal VMM error: I8042 error: \(error)")
            }
        default:
            if state == .notStarted { throw Self.tooEarly }
            flushMetrics()
        }
    }

    /// Writes a line of metrics, if there is a file for it.
    public func flushMetrics() {
        metrics.flush(
            control, drives: kept.drives.filter { $0["socket"] == nil }.compactMap { $0.text("drive_id") },
            backedDrives: kept.drives.filter { $0["socket"] != nil }.compactMap { $0.text("drive_id") },
            interfaces: kept.interfaces.compactMap { $0.text("iface_id") })
    }

    /// Builds the machine that was described and starts its guest.
    func start() throws(Fault) {
        guard state == .notStarted else { throw Self.tooLate }
        guard kept.bootSource != nil else {
            throw Fault("Start microvm error: Cannot start microvm without kernel configuration.")
        }
        if let template = kept.machine.text("cpu_template") {
            do throws(HostRefusal) { try control.checkTemplate(template) } catch {
                throw Fault("Start microvm error: Failed to get CPU template: \(error)")
            }
        }
        let configuration: VirtualMachineConfiguration
        do throws(ConfigurationError) {
            configuration = try kept.machineConfiguration()
        } catch {
            throw Fault("Start microvm error: \(error)")
        }
        do throws(HostRefusal) {
            try control.start(configuration)
        } catch {
            throw Fault("Start microvm error: \(error)")
        }
        state = .running
    }

    func setState(_ body: JSONValue) throws(Fault) {
        let pauses = body.text("state") == "Paused"
        if pauses == (state == .paused) { return }
        do throws(HostRefusal) {
            if pauses { try control.pause() } else { try control.resume() }
        } catch {
            throw Fault("\(pauses ? "Pause" : "Resume") microvm error: \(error)")
        }
        state = pauses ? .paused : .running
    }

    func updateDrive(_ identifier: String, _ body: JSONValue) throws(Fault) {
        let prefix = "Drive config error: Unable to patch the block device: Device manager error: "
        let suffix = " Please verify the request arguments."
        guard let index = kept.drives.firstIndex(where: { $0.text("drive_id") == identifier }) else {
            throw Fault(prefix + "Failed to find the device on the bus." + suffix)
        }
        let isBacked = kept.drives[index]["socket"] != nil
        guard isBacked != (body["path_on_host"] != nil || body["rate_limiter"] != nil) else {
            throw Fault(prefix + "Running method expected different backend." + suffix)
        }
        if isBacked {
            do throws(HostRefusal) { try control.refreshDrive(identifier) } catch {
                throw Fault(prefix + "Vhost user backend error: Vhost error: \(error)." + suffix)
            }
        }
        if let path = body.text("path_on_host") {
            do throws(HostRefusal) {
                try control.replaceDisk(identifier, path: path)
            } catch {
                throw Fault(
                    prefix + "Virtio backend error: Error manipulating the backing file: \(error) \(path)" + suffix)
            }
            kept.drives[index] = kept.drives[index].replacing("path_on_host", with: .string(path))
        }
        if let limiter = body["rate_limiter"] {
            do throws(HostRefusal) {
                try control.setLimits(ofDrive: identifier, Self.limits(limiter))
            } catch {
                throw Fault(prefix + "\(error)" + suffix)
            }
            kept.drives[index] = kept.drives[index].replacing(
                "rate_limiter", with: Self.merged(kept.drives[index]["rate_limiter"], limiter))
        }
    }

    func updateInterface(_ identifier: String, _ body: JSONValue) throws(Fault) {
        let prefix = "Network config error: Unable to update the net device: Device manager error: "
        guard let index = kept.interfaces.firstIndex(where: { $0.text("iface_id") == identifier }) else {
            throw Fault(prefix + "Failed to find the device on the bus.")
        }
        do throws(HostRefusal) {
            try control.setLimits(
                ofInterface: identifier, receive: body["rx_rate_limiter"].map { Self.limits($0) },
                transmit: body["tx_rate_limiter"].map { Self.limits($0) })
        } catch {
            throw Fault(prefix + "\(error)")
        }
        for name in ["rx_rate_limiter", "tx_rate_limiter"] {
            guard let limiter = body[name] else { continue }
            kept.interfaces[index] = kept.interfaces[index].replacing(
                name, with: Self.merged(kept.interfaces[index][name], limiter))
        }
    }

    /// A bucket that is not named stays; one without size or time goes.
    static func merged(_ before: JSONValue?, _ change: JSONValue) -> JSONValue {
        var members: [JSONMember] = []
        for name in ["bandwidth", "ops"] {
            var bucket = before?[name] ?? .null
            if let changed = change[name] {
                let isOff = changed.integer("size") == 0 || changed.integer("refill_time") == 0
                bucket = isOff ? .null : changed.completed(Shapes.tokenBucket)
            }
            members.append(JSONMember(name, bucket))
        }
        return members.allSatisfy { $0.value == .null } ? .null : .object(members)
    }

    static func limits(_ limiter: JSONValue) -> RateLimits {
        RateLimits(bytes: limiter["bandwidth"].map(bucket), operations: limiter["ops"].map(bucket))
    }

    private static func bucket(_ value: JSONValue) -> RateLimits.Bucket {
        RateLimits.Bucket(
            size: UInt64(value.integer("size") ?? 0), oneTimeBurst: UInt64(value.integer("one_time_burst") ?? 0),
            refillMilliseconds: UInt64(value.integer("refill_time") ?? 0))
    }

    // MARK: Balloon

    private static let noBalloon = Fault(
        "Balloon config error: Error creating the balloon device: No balloon device found.")

    func updateBalloon(_ body: JSONValue) throws(Fault) {
        guard let balloon = kept.balloon else { throw Self.noBalloon }
        let amount = body.integer("amount_mib") ?? 0
        guard amount <= (kept.machine.integer("mem_size_mib") ?? 0) else {
            throw Fault(
                "Balloon config error: Error creating the balloon device: Amount of pages requested cannot fit in `u32`."
            )
        }
        do throws(HostRefusal) {
            try control.setBalloon(mebibytes: UInt32(amount))
        } catch {
            throw Fault("Balloon config error: Error creating the balloon device: \(error)")
        }
        kept.balloon = balloon.replacing("amount_mib", with: .integer(amount))
    }

    func updateBalloonStatistics(_ body: JSONValue) throws(Fault) {
        guard let balloon = kept.balloon else { throw Self.noBalloon }
        let seconds = body.integer("stats_polling_interval_s") ?? 0
        guard ((balloon.integer("stats_polling_interval_s") ?? 0) == 0) == (seconds == 0) else {
            throw Fault(
                "Balloon config error: Error creating the balloon device: Statistics cannot be enabled/disabled after activation."
            )
        }
        if seconds > 0 {
            do throws(HostRefusal) {
                try control.setBalloonInterval(seconds: UInt32(seconds))
            } catch {
                throw Fault("Balloon config error: Error creating the balloon device: \(error)")
            }
        }
        kept.balloon = balloon.replacing("stats_polling_interval_s", with: .integer(seconds))
    }

    func balloonStatistics() throws(Fault) -> JSONValue {
        guard let balloon = kept.balloon, let report = control.balloon else { throw Self.noBalloon }
        guard (balloon.integer("stats_polling_interval_s") ?? 0) > 0 else {
            throw Fault(
                "Balloon config error: Error creating the balloon device: Statistics for the balloon device are not enabled"
            )
        }
        var members = [
            JSONMember("target_pages", .integer(Int64(report.targetPages))),
            JSONMember("actual_pages", .integer(Int64(report.actualPages))),
            JSONMember("target_mib", .integer(Int64(report.targetPages / 256))),
            JSONMember("actual_mib", .integer(Int64(report.actualPages / 256))),
        ]
        for figure in report.figures {
            members.append(JSONMember(figure.name, .integer(Int64(clamping: figure.value))))
        }
        return .object(members)
    }

    // MARK: Metadata

    func store(_ body: JSONValue) throws(Fault) {
        guard metadata.set(body) else { throw Self.metadataTooLarge }
    }

    func patch(_ body: JSONValue) throws(Fault) {
        guard metadata.patch(body) else { throw Self.metadataTooLarge }
    }

    private static let metadataTooLarge = Fault(
        "MMDS limit exceeded error: The MMDS patch request doesn't fit.", status: 413)
}
