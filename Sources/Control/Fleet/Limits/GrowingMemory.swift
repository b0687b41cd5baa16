/// Memory of a machine beside what it begins with: plugged in blocks while it runs, up to what it was made for.
extension MachineSpecification {
    /// What is plugged at a time, and what the host's kernel is given at a time. Source: Documentation/devices/memory.md.
    static let blockMebibytes = 2
    private static let slotMebibytes = 128
    /// The guest's kernel keeps 2 MiB of what it begins with for each 128 MiB; so that leaves it three quarters.
    static let mostGrowth = 16
    /// The monitor's devices reach 512 GiB, with gaps between what lies there.
    static let mostMemoryMaximum = 508 << 10

    /// Words for the kernel's command line. What is plugged is used at once; programs' pages go there as long as the kernel's own
    /// memory is in a healthy ratio to it, so that it can be taken away again.
    static let growingArguments = ["memhp_default_state=online", "memory_hotplug.online_policy=auto-movable"]

    /// The monitor's device; nil where memory cannot grow.
    var pluggableMebibytes: Int? {
        memoryMaximumMebibytes.map { Self.pluggableMebibytes(from: memoryMebibytes, to: $0) }
    }

    static func pluggableMebibytes(from mebibytes: Int, to maximum: Int) -> Int {
        rounded(max(1, maximum - mebibytes), to: slotMebibytes)
    }

    /// What a guest can be given that is to have so much: beyond what it begins with whole blocks.
    public func wholeMebibytes(_ mebibytes: Int) -> Int {
        memoryMebibytes
            + (mebibytes > memoryMebibytes
                ? Self.rounded(mebibytes - memoryMebibytes, to: Self.blockMebibytes) : mebibytes - memoryMebibytes)
    }

    /// What is to be plugged for these limits.
    func pluggedMebibytes(_ limits: MachineLimits) -> Int {
        guard memoryMaximumMebibytes != nil else { return 0 }
        return Self.rounded(max(0, (limits.memoryMebibytes ?? 0) - memoryMebibytes), to: Self.blockMebibytes)
    }

    /// What the balloon is to hold for these limits.
    func balloonMebibytes(_ limits: MachineLimits) -> Int {
        max(0, memoryMebibytes - (limits.memoryMebibytes ?? memoryMebibytes))
    }

    private static func rounded(_ mebibytes: Int, to unit: Int) -> Int { (mebibytes + unit - 1) / unit * unit }

    func checkMemoryMaximum() throws(FleetError) {
        guard let memoryMaximumMebibytes else { return }
        let most = min(memoryMebibytes * Self.mostGrowth, Self.mostMemoryMaximum)
        guard memoryMaximumMebibytes > memoryMebibytes else {
            throw FleetError(
                .invalidSetting,
                "a machine that begins with \(memoryMebibytes) MiB cannot grow to \(memoryMaximumMebibytes) MiB; --memory-max is more than --memory, or left out"
            )
        }
        guard memoryMaximumMebibytes <= most else {
            throw FleetError(
                .invalidSetting,
                "a machine that begins with \(memoryMebibytes) MiB can grow to \(most) MiB, not to \(memoryMaximumMebibytes) MiB: the guest's kernel keeps books on it in what it begins with; give it more (--memory), or a lower --memory-max"
            )
        }
    }

    /// What the guest can be given.
    func checkMemory(_ mebibytes: Int) throws(FleetError) {
        let least = Self.memoryMebibytesRange.lowerBound
        guard mebibytes < least || mebibytes > memoryMaximumMebibytes ?? memoryMebibytes else { return }
        let message =
            memoryMaximumMebibytes.map {
                "the machine begins with \(memoryMebibytes) MiB of memory and can be given \(least) to \($0) MiB while it runs, not \(mebibytes); swiftlet update --memory-max lets it have more"
            }
            ?? "the machine has \(memoryMebibytes) MiB of memory; it can be given \(least) to \(memoryMebibytes) MiB of that while it runs, not \(mebibytes). More can be had by one that was made for it: swiftlet run --memory-max, or swiftlet update --memory-max, which boots it anew"
        throw FleetError(.invalidSetting, message)
    }
}
