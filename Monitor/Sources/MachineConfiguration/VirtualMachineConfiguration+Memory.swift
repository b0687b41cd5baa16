public import WireFormats

extension VirtualMachineConfiguration.PluggableMemory {
    public init(_ value: JSONValue) throws(ConfigurationError) {
        let reader = try ObjectReader(
            value, path: "memory-hotplug", known: ["total_size_mib", "slot_size_mib", "block_size_mib"])
        let range = VirtualMachineConfiguration.memoryMebibytesRange
        func size(_ name: String, _ least: Int64) throws(ConfigurationError) -> UInt64 {
            UInt64(try reader.integer(name, least...range.upperBound) ?? least)
        }
        let block = try size("block_size_mib", Self.leastBlockMebibytes)
        if block & (block - 1) != 0 { throw reader.invalid("block_size_mib", wanted: "a power of two") }
        let slot = try size("slot_size_mib", Self.leastSlotMebibytes)
        if slot % block != 0 { throw reader.invalid("slot_size_mib", wanted: "a multiple of block_size_mib") }
        let total = UInt64(try reader.requiredInteger("total_size_mib", Int64(slot)...range.upperBound))
        if total % slot != 0 { throw reader.invalid("total_size_mib", wanted: "a multiple of slot_size_mib") }
        if total / slot > Self.mostSlots {
            throw reader.invalid("slot_size_mib", wanted: "more: there may be 4096 slots")
        }
        self.init(totalMebibytes: total, slotMebibytes: slot, blockMebibytes: block)
    }
}

extension VirtualMachineConfiguration.PersistentMemory {
    init(_ value: JSONValue, path: String) throws(ConfigurationError) {
        let reader = try ObjectReader(
            value, path: path, known: ["id", "path_on_host", "root_device", "read_only", "rate_limiter"])
        self.init(
            id: try reader.identifier("id"),
            pathOnHost: try reader.requiredText("path_on_host", wanted: "the path of a file or block device"))
        // Which device is the root is said by the kernel's command line.
        _ = try reader.boolean("root_device")
        isReadOnly = try reader.boolean("read_only") ?? false
        limits = try reader.limits("rate_limiter")
    }
}
