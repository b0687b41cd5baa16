public import GuestMemory

extension BootRequest {
    /// Loads kernel and initial RAM disks into guest memory and writes beside them all that the kernel is told.
    ///
    /// Call it once, before any processor runs, on memory that nobody has written to.
    /// - Throws: what is wrong with the request or its files. Guest memory may hold a part of them then.
    public func prepare(in memory: GuestMemory) throws(BootError) -> PreparedBoot {
        guard memory.totalBytes >= MemoryMap.minimumBytes else {
            throw .memoryTooSmall(memoryBytes: memory.totalBytes)
        }
        guard (1...32).contains(platform.processorIdentifiers.count) else {
            throw .processorCountUnsupported(platform.processorIdentifiers.count)
        }
        let tables = try firmwareTables()
        let kernel = try KernelImage.load(file: kernel, into: memory, mapsFiles: mapsFiles)
        let (chosen, entry) = try entry(of: kernel)
        let commandLine = try CommandLine.assemble(
            commandLine, devices: discovery.contains(.commandLine) ? platform.virtioDevices : [],
            maximumBytes: kernel.commandLineMaximumBytes)
        let disks = try InitialRamDisks.load(
            initialRamDisks, above: kernel, memory: memory, mapsFiles: mapsFiles)
        let processor: InitialProcessorState
        do throws(GuestMemoryError) {
            for table in tables { try memory.write(table.bytes, at: GuestAddress(table.address)) }
            try memory.write(Array(commandLine.utf8) + [0], at: GuestAddress(LowMemoryLayout.commandLine))
            switch chosen {
            case .linux64: processor = try writeZeroPage(kernel, entry: entry, disks, memory)
            case .pvh: processor = try writeStartInfo(entry: entry, disks, memory)
            }
            try BootPageTables.writeDescriptors(processor, to: memory)
        } catch {
            throw .guestMemory(error)
        }
        return PreparedBoot(
            processor: processor, bootProtocol: chosen, kernelFormat: kernel.format, commandLine: commandLine,
            kernelEnd: kernel.end, initialRamDiskStart: disks.start, initialRamDiskBytes: disks.lengthBytes,
            // Linux overwrites initial RAM disks when it has unpacked them.
            sureToBeWritten: kernel.sureToBeWritten + [
                GuestRange(start: GuestAddress(disks.start), lengthBytes: disks.lengthBytes)
            ])
    }

    private func entry(of kernel: LoadedKernel) throws(BootError) -> (BootProtocol, UInt64) {
        switch bootProtocol ?? kernel.preferredProtocol {
        case .linux64: return (.linux64, kernel.entry)
        case .pvh:
            guard let entry = kernel.pvhEntry else { throw .protocolUnavailable(.pvh, kernel.format) }
            return (.pvh, entry)
        }
    }

    /// The tables by which the guest discovers the machine, and where they go.
    private func firmwareTables() throws(BootError) -> [(address: UInt64, bytes: [UInt8])] {
        var tables: [(address: UInt64, bytes: [UInt8])] = []
        if discovery.contains(.acpi) {
            let bytes = ACPITables(address: LowMemoryLayout.acpiTables, platform: platform).bytes
            guard bytes.count <= LowMemoryLayout.acpiTablesMaximumBytes else {
                throw .tooManyDevices(platform.virtioDevices.count)
            }
            tables.append((LowMemoryLayout.acpiTables, bytes))
        }
        if discovery.contains(.multiprocessorTable) {
            let table = MultiprocessorTable(
                address: LowMemoryLayout.extendedBIOSData, processorIdentifiers: platform.processorIdentifiers)
            tables.append((LowMemoryLayout.extendedBIOSData, table.bytes))
        }
        if !randomSeed.isEmpty { tables.append((LowMemoryLayout.randomSeed, ZeroPage.randomSeed(randomSeed))) }
        return tables
    }

    private var acpiRootPointer: UInt64 { discovery.contains(.acpi) ? LowMemoryLayout.acpiTables : 0 }

    private func writeZeroPage(
        _ kernel: LoadedKernel, entry: UInt64, _ disks: InitialRamDisks, _ memory: GuestMemory
    ) throws(GuestMemoryError) -> InitialProcessorState {
        let page = ZeroPage(
            setupHeader: kernel.setupHeader, commandLine: LowMemoryLayout.commandLine,
            commandLineMaximumBytes: kernel.commandLineMaximumBytes, initialRamDisks: disks,
            memoryMap: MemoryMap(totalBytes: memory.totalBytes), acpiRootPointer: acpiRootPointer,
            setupData: randomSeed.isEmpty ? 0 : LowMemoryLayout.randomSeed)
        try memory.write(page.bytes, at: GuestAddress(LowMemoryLayout.zeroPage))
        try BootPageTables.write(to: memory)
        return .linux64(entry: entry, zeroPage: LowMemoryLayout.zeroPage)
    }

    private func writeStartInfo(
        entry: UInt64, _ disks: InitialRamDisks, _ memory: GuestMemory
    ) throws(GuestMemoryError) -> InitialProcessorState {
        let info = PVHStartInfo(
            address: LowMemoryLayout.startInfo, commandLine: LowMemoryLayout.commandLine, initialRamDisks: disks,
            memoryMap: MemoryMap(totalBytes: memory.totalBytes), acpiRootPointer: acpiRootPointer)
        try memory.write(info.bytes, at: GuestAddress(LowMemoryLayout.startInfo))
        return .pvh(entry: entry, startInfo: LowMemoryLayout.startInfo)
    }
}
