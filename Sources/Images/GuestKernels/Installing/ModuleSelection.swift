/// Which modules a guest gets, in an order in which each comes after those that it needs.
struct ModuleSelection {
    /// Without these no guest starts: its devices, its disk and the check of it, its writable layer, the way to the host.
    static let required = [
        "virtio_mmio", "virtio_blk", "dm_verity", "vmw_vsock_virtio_transport", "erofs", "overlay",
    ]
    /// What most guests use, where the kernel has it. The kernel has one of the two kinds of SHA-256 inside, or as a module;
    /// the one with the processor's instructions is the faster by far.
    static let usual = [
        "sha256_ssse3", "sha256_generic", "virtio_net", "virtio_rng", "virtio_balloon", "virtio_console", "fuse",
        "virtiofs",
    ]
    static let standard = required + usual

    private(set) var order: [String] = []
    /// Modules asked for that are neither files nor built in.
    private(set) var missing: [String] = []

    /// - Parameters:
    ///   - isBuiltIn: whether the kernel has that module inside.
    ///   - module: what a module's file says; nil when there is none.
    init(
        _ wanted: [String], isBuiltIn: (String) -> Bool, module: (String) throws(KernelError) -> KernelModule?
    ) throws(KernelError) {
        var seen: Set<String> = []
        // Depth first without recursion: each entry is visited once to push what it needs, once to be placed.
        var work = wanted.reversed().map { (name: ModuleName.plain($0), isRequired: true, isPlaced: false) }
        while let next = work.popLast() {
            if next.isPlaced {
                order.append(next.name)
                continue
            }
            guard seen.insert(next.name).inserted, !isBuiltIn(next.name) else { continue }
            guard let module = try module(next.name) else {
                if next.isRequired { missing.append(next.name) }
                continue
            }
            work.append((next.name, true, true))
            for name in module.dependencies.reversed() { work.append((name, true, false)) }
            for name in module.wishes.reversed() { work.append((name, false, false)) }
        }
    }
}
