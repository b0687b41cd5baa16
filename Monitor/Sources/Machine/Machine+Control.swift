import KVMHost
public import LinuxCalls
public import MachineConfiguration
import VirtioDevices

/// What can be changed and asked while the guest runs. Any thread but the devices' own; also while it is paused.
extension Machine {
    /// Whether a file can be a disk. Nothing is kept.
    public static func checkDisk(_ path: String, isWritable: Bool) throws(LinuxError) {
        _ = try BlockBackend(path: path, isReadOnly: !isWritable)
    }

    /// Whether the host's processors are AMD's, else they are Intel's, as far as templates go; and which, by leaf 1 of CPUID.
    /// As KVM tells guests.
    public static var hostProcessor: (isOfAMD: Bool, model: UInt32) {
        var result = (false, UInt32(0))
        guard let system = try? KVMSystem(), let leaves = try? system.supportedCPUID().copyLeaves() else {
            return result
        }
        for leaf in leaves {
            // "Auth", of "AuthenticAMD".
            if leaf.leaf == 0 { result.0 = leaf.ebx == 0x6874_7541 }
            if leaf.leaf == 1 { result.1 = leaf.eax }
        }
        return result
    }

    /// What the guest does about it is its own affair.
    public func pressPowerButton() { powerButton.press() }

    /// Presses control, alt and delete; the power button where the guest listens to no keyboard.
    /// - Returns: false when the guest has not read what was pressed before.
    public func pressControlAltDelete() -> Bool {
        switch bus.pressKeys() {
        case .interrupt: return true
        case .full: return false
        case .unheard:
            pressPowerButton()
            return true
        }
    }

    /// Has `body` called, on a processor's thread, each time that the guest says that it has booted. To be called before
    /// `run`.
    public func whenBooted(_ body: @escaping @Sendable () -> Void) { bus.whenBooted = body }

    // MARK: Drives and interfaces

    /// Puts another file, or the same one anew, in the place of a drive's; the guest is told to look at its size.
    /// - Throws: ENODEV when there is no such drive, EINVAL for one of segments, else what is wrong with the file.
    public func replaceDisk(_ identifier: String, path: String) throws(LinuxError) {
        let (device, drive) = try self.drive(identifier)
        if !drive.segments.isEmpty { throw .invalidArgument }
        device.replace(
            try BlockBackend(
                path: path, isReadOnly: drive.isReadOnly, cache: drive.cacheType == .writeback ? .writeback : .unsafe))
    }

    /// Changes what a drive may do; what the change does not name stays.
    /// - Throws: ENODEV when there is no such drive.
    public func setLimits(ofDrive identifier: String, _ limits: RateLimits) throws(LinuxError) {
        let (device, _) = try drive(identifier)
        try change(device) { () throws(LinuxError) in try device.setLimits(limits.apply) }
    }

    /// Changes what an interface may do, to the guest and from it; what the change does not name stays.
    /// - Throws: ENODEV when there is no such interface.
    public func setLimits(
        ofInterface identifier: String, receive: RateLimits?, transmit: RateLimits?
    ) throws(LinuxError) {
        for device in devices {
            guard case .interface(let device, identifier) = device.handle else { continue }
            return try change(device) { () throws(LinuxError) in
                if let receive { try device.setReceiveLimits(receive.apply) }
                if let transmit { try device.setTransmitLimits(transmit.apply) }
            }
        }
        throw .noDevice
    }

    /// Changes how often a file that is the guest's memory may be flushed.
    /// - Throws: ENODEV when there is no such file.
    public func setLimits(ofPersistentMemory identifier: String, _ limits: RateLimits) throws(LinuxError) {
        for device in devices {
            guard case .persistentMemory(let device, identifier) = device.handle else { continue }
            return try change(device) { () throws(LinuxError) in try device.setLimits(limits.apply) }
        }
        throw .noDevice
    }

    private func drive(
        _ identifier: String
    ) throws(LinuxError) -> (BlockDevice, VirtualMachineConfiguration.Drive) {
        for device in devices {
            if case .drive(let device, let drive) = device.handle, drive.id == identifier { return (device, drive) }
        }
        throw .noDevice
    }

    /// Changes a device on its thread. What that has begun to watch waits for `resume` too.
    private func change(
        _ device: some VirtioDevice & EventHandler, _ body: @escaping () throws(LinuxError) -> Void
    ) throws(LinuxError) {
        var failure: LinuxError?
        device.loop.perform { [self] in
            do throws(LinuxError) { try body() } catch { failure = error }
            if isPaused { device.loop.suspend(device) }
        }
        if let failure { throw failure }
    }

    // MARK: Balloon

    /// What a balloon is to hold and holds, in pages of 4 KiB, and what its guest has said, by Firecracker's names.
    public struct BalloonState: Sendable {
        public let targetPages: UInt32
        public let actualPages: UInt32
        public let figures: [(name: String, value: UInt64)]
    }

    private var balloon: BalloonDevice? {
        for device in devices { if case .balloon(let device) = device.handle { return device } }
        return nil
    }

    /// Nil without a balloon.
    public var balloonState: BalloonState? {
        guard let balloon else { return nil }
        var figures: [(name: String, value: UInt64)] = []
        if let said = balloon.lastStatistics {
            for (index, name) in Self.figureNames.enumerated() {
                guard let tag = BalloonStatistics.Tag(rawValue: UInt16(index)), let value = said[tag] else { continue }
                figures.append((name, value))
            }
        }
        return BalloonState(targetPages: balloon.target, actualPages: balloon.actual, figures: figures)
    }

    /// By the standard's tags.
    private static let figureNames = [
        "swap_in", "swap_out", "major_faults", "minor_faults", "free_memory", "total_memory", "available_memory",
        "disk_caches", "hugetlb_allocations", "hugetlb_failures", "oom_kill", "alloc_stall", "async_scan",
        "direct_scan", "async_reclaim", "direct_reclaim",
    ]

    /// - Returns: false when there is no balloon, or no driver that serves it.
    public func setBalloon(mebibytes: UInt32) -> Bool {
        guard let balloon, balloon.isActive else { return false }
        balloon.setTarget(mebibytes: mebibytes)
        return true
    }

    /// What host and guest have said last of a run of hints; nil without a balloon.
    public var balloonHints: (host: UInt32, guest: UInt32?)? { balloon?.hintCommands }

    /// - Returns: false when there is no balloon, or no driver that hints.
    public func startBalloonHints(acknowledging: Bool) -> Bool {
        balloon?.startHinting(acknowledging: acknowledging) == true
    }

    /// - Returns: as `startBalloonHints`.
    public func stopBalloonHints() -> Bool { balloon?.stopHinting() == true }

    public func setBalloonInterval(seconds: UInt32) { balloon?.setStatisticsInterval(seconds: seconds) }
}

extension Machine {
    private var pluggableMemory: MemoryDevice? {
        for device in devices { if case .memory(let device) = device.handle { return device } }
        return nil
    }

    /// How much memory is to be plugged, and is; nil for a machine that can have none.
    public var pluggedMebibytes: (requested: UInt64, plugged: UInt64)? {
        pluggableMemory.map { ($0.requested >> 20, $0.pluggedBytes >> 20) }
    }

    /// - Returns: false when there cannot be so much, or not just so much.
    public func requestMemory(mebibytes: UInt64) -> Bool {
        mebibytes < 1 << 40 && pluggableMemory?.request(bytes: mebibytes << 20) == true
    }
}

extension RateLimits {
    /// Hands the buckets that are named to a limiter.
    func apply(_ limiter: RateLimiter, _ handler: any EventHandler, _ token: UInt32) throws(LinuxError) {
        if let bytes {
            try limiter.setBytes(
                size: bytes.size, burst: bytes.oneTimeBurst, refillMilliseconds: bytes.refillMilliseconds,
                handler: handler, token: token)
        }
        if let operations {
            try limiter.setOperations(
                size: operations.size, burst: operations.oneTimeBurst,
                refillMilliseconds: operations.refillMilliseconds, handler: handler, token: token)
        }
    }
}
