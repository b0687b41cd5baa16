import GuestMemory
import KVMHost
import LinuxCalls

/// A guest of three instructions in 64-bit kernel mode: counts down, then writes to a port.
enum CalibrationGuest {
    /// Executed in one round.
    static let instructionCount = 2000
    /// The best of so many rounds counts; fewer are run when one is fast. 10,000 instructions in all.
    static let rounds = 5

    /// `again: dec ecx; jnz again; out 0x80, al`
    private static let code: [UInt8] = [0xff, 0xc9, 0x75, 0xfc, 0xe6, 0x80]
    private static let tables: UInt64 = 0x1000
    private static let start: UInt64 = 0x4000
    private static let donePort: UInt16 = 0x80

    /// Makes the guest, runs it to its end, and judges its speed.
    /// - Parameter entering: told how to take the processor out of the guest, and nil before that is gone.
    static func run(entering: (ProcessorKick?) -> Void) throws(KVMError) -> KVMVerdict {
        let system = try KVMSystem()
        let machine = try system.makeVirtualMachine()
        let memory: GuestMemory
        do {
            memory = try GuestMemory(totalBytes: 0x8000)
            try memory.write(code, at: GuestAddress(start))
            // One 2 MiB page, present and writable, through three levels. Source: Intel SDM volume 3 §4.5.
            try memory.store((tables + 0x1000) | 3, at: GuestAddress(tables))
            try memory.store((tables + 0x2000) | 3, at: GuestAddress(tables + 0x1000))
            try memory.store(0x83 as UInt64, at: GuestAddress(tables + 0x2000))
        } catch {
            return .broken("guest memory: \(error)")
        }
        try machine.attach(memory)
        let processor = try machine.makeVirtualCPU(0)
        try enterLongMode(processor)

        entering(processor.kick)
        defer { entering(nil) }
        // Going in and out has its price too, which a loop of one turn shows. The very first is not counted: it pays
        // for the first touch of each page.
        var shortest = UInt64.max
        var longest = UInt64.max
        var picoseconds = Int.max
        for round in 0...rounds {
            for (count, isShort) in [(1, true), (UInt64(instructionCount / 2), false)] where round > 0 || isShort {
                var registers = try processor.generalRegisters()
                registers.rip = start
                registers.rflags = 2
                registers.rcx = count
                try processor.setGeneralRegisters(registers)
                let begin = Clock.monotonic.nanoseconds()
                let reason: KVMExitReason
                do throws(LinuxError) { reason = try processor.run() } catch { return .misbehaves("\(error)") }
                let took = Clock.monotonic.nanoseconds() - begin
                guard reason == .portAccess, processor.portAccess.port == donePort else {
                    return .misbehaves("it ended for reason \(reason.rawValue)")
                }
                if round == 0 { continue }
                if isShort { shortest = min(shortest, took) } else { longest = min(longest, took) }
            }
            if round == 0 { continue }
            picoseconds = Int(longest > shortest ? longest - shortest : 0) * 1000 / instructionCount
            if picoseconds <= KVMProbe.limitPicoseconds { break }
        }
        return picoseconds <= KVMProbe.limitPicoseconds
            ? .usable(picosecondsPerInstruction: picoseconds)
            : .emulatesKernelMode(picosecondsPerInstruction: picoseconds)
    }

    /// Flat 64-bit segments, paging on. Source: Intel SDM volume 3 §10.8.5.
    private static func enterLongMode(_ processor: borrowing KVMVirtualCPU) throws(KVMError) {
        var special = try processor.specialRegisters()
        special.cr0 = 0x8000_0011
        special.cr3 = tables
        special.cr4 = 0x20
        special.efer = 0x500
        special.cs.base = 0
        special.cs.limit = 0xffff_ffff
        special.cs.selector = 8
        special.cs.type = 11
        special.cs.present = 1
        special.cs.dpl = 0
        special.cs.db = 0
        special.cs.s = 1
        special.cs.l = 1
        special.cs.g = 1
        var data = special.cs
        data.selector = 16
        data.type = 3
        data.l = 0
        data.db = 1
        special.ds = data
        special.es = data
        special.ss = data
        try processor.setSpecialRegisters(special)
    }
}
