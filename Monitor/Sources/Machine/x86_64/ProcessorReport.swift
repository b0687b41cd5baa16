import GuestMemory
import KVMHost

/// Where a processor stood when its guest broke: registers and the bytes at the instruction pointer, for a person.
enum ProcessorReport {
    static func describe(_ processor: borrowing KVMVirtualCPU, _ memory: GuestMemory) -> String {
        guard let general = try? processor.generalRegisters(), let special = try? processor.specialRegisters() else {
            return "  processor \(processor.number): its registers cannot be read"
        }
        var text = "  processor \(processor.number)"
        let rows: [[(StaticString, UInt64)]] = [
            [("rip", general.rip), ("rsp", general.rsp), ("rflags", general.rflags)],
            [("rax", general.rax), ("rbx", general.rbx), ("rcx", general.rcx), ("rdx", general.rdx)],
            [("rsi", general.rsi), ("rdi", general.rdi), ("rbp", general.rbp), ("r8", general.r8)],
            [("r9", general.r9), ("r10", general.r10), ("r11", general.r11), ("r12", general.r12)],
            [("r13", general.r13), ("r14", general.r14), ("r15", general.r15)],
            [("cr0", special.cr0), ("cr2", special.cr2), ("cr3", special.cr3), ("cr4", special.cr4)],
            [("efer", special.efer), ("cs", UInt64(special.cs.selector)), ("ss", UInt64(special.ss.selector))],
        ]
        for row in rows {
            text += "\n  "
            for (name, value) in row { text += " \(name)=\(hexadecimal(value, digits: 16))" }
        }
        return text + "\n   bytes at rip: " + code(processor, memory, at: special.cs.base &+ general.rip)
    }

    private static func code(
        _ processor: borrowing KVMVirtualCPU, _ memory: GuestMemory, at linearAddress: UInt64
    ) -> String {
        guard let address = processor.physicalAddress(of: linearAddress) else { return "not mapped" }
        // To the end of the page at most: the next one may lie elsewhere.
        let count = min(16, 4096 - Int(address.value % 4096))
        guard let bytes = try? memory.bytes(at: address, count: count) else { return "not in memory" }
        var text = ""
        for byte in bytes { text += (text.isEmpty ? "" : " ") + hexadecimal(UInt64(byte), digits: 2) }
        return text
    }

    private static func hexadecimal(_ value: UInt64, digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
    }
}
