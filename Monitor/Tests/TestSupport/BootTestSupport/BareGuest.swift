/// A guest of a few instructions, assembled by hand: 64-bit code that runs at 1 MiB in ring 0 without a stack.
///
/// A thousand instructions are plenty everywhere, also where KVM emulates each of them.
/// Source: Intel SDM volume 2 for every encoding here.
public struct BareGuest: Sendable {
    public private(set) var code: [UInt8] = []

    public init() {}

    /// As a kernel image.
    public var image: [UInt8] { ElfKernelBuilder(code: code).bytes }

    /// Writes a byte to a port.
    public func output(_ value: UInt8, port: UInt16) -> BareGuest {
        // mov dx, port; mov al, value; out dx, al
        adding([0x66, 0xba], port, [0xb0, value, 0xee])
    }

    /// Reads and writes a port with each width.
    public func useAllWidths(port: UInt16) -> BareGuest {
        // mov dx, port; in al, dx; in ax, dx; in eax, dx; out dx, al; out dx, ax; out dx, eax
        adding([0x66, 0xba], port, [0xec, 0x66, 0xed, 0xed, 0xee, 0x66, 0xef, 0xef])
    }

    /// Prints text on the serial port.
    public func print(_ text: String) -> BareGuest {
        // mov dx, 0x3f8; then mov al, character; out dx, al for each
        var guest = adding([0x66, 0xba], 0x3f8 as UInt16, [])
        for character in text.utf8 { guest.code += [0xb0, character, 0xee] }
        return guest
    }

    /// Writes a value to each 32-bit register of a range and reads it back.
    public func fillRegisters(from start: UInt32, count: UInt32, value: UInt32) -> BareGuest {
        // mov edi, start; mov ecx, count; mov eax, value
        adding([0xbf], start, [0xb9]).adding([], count, [0xb8]).adding(
            [], value,
            // mov [rdi], eax; mov edx, [rdi]; add edi, 4; dec ecx; jnz to the first of these
            [0x89, 0x07, 0x8b, 0x17, 0x83, 0xc7, 0x04, 0xff, 0xc9, 0x75, 0xf5])
    }

    /// Prints the first byte at an address, a multiple of 2 MiB, and writes a "w" behind it.
    public func swapFirstBytes(at address: UInt64) -> BareGuest {
        // The page tables at start map 4 GiB: the page at 8 MiB is laid elsewhere, by the fifth entry of their first directory.
        // mov rbx, address with flags; mov [0xb020], rbx; mov ebx, 0x800000
        adding([0x48, 0xbb], address | 0x83, [0x48, 0x89, 0x1c, 0x25]).adding([], 0xb020 as UInt32, [0xbb]).adding(
            [], 0x80_0000 as UInt32, [0x8a, 0x03, 0x66, 0xba]
        ).adding(
            // mov al, [rbx]; mov dx, 0x3f8 (both begun above); out dx, al; mov byte [rbx + 1], 'w'
            [], 0x3f8 as UInt16, [0xee, 0xc6, 0x43, 0x01, 0x77])
    }

    /// Says "ready", and then writes a number that grows to each 32-bit register of a range and reads it back, over and over, until
    /// it is sent a byte.
    public func hammerRegisters(from start: UInt32, count: UInt32) -> BareGuest {
        // mov edi, start; mov ecx, count
        print("ready\n").adding([0xbf], start, [0xb9]).adding(
            // mov [rdi], esi; mov edx, [rdi]; add edi, 4; dec ecx; jnz to the first of these; inc esi; mov dx, 0x3fd; in al, dx;
            // test al, 1; jz to the first of all
            [], count,
            [
                0x89, 0x37, 0x8b, 0x17, 0x83, 0xc7, 0x04, 0xff, 0xc9, 0x75, 0xf5, 0xff, 0xc6, 0x66, 0xba, 0xfd, 0x03,
                0xec, 0xa8, 0x01, 0x74, 0xe0,
            ])
    }

    /// Asks the keyboard controller for a reset.
    public var resetByKeyboardController: BareGuest { output(0xfe, port: 0x64).haltForever }

    /// Asks for a reset by ACPI's reset register.
    public var resetByACPI: BareGuest { output(1, port: 0x602).haltForever }

    /// Enters sleep state 5 by ACPI's sleep control register.
    public var powerOff: BareGuest { output(0x34, port: 0x600).haltForever }

    /// cli; hlt; jmp to the hlt
    public var haltForever: BareGuest { adding([0xfa, 0xf4, 0xeb, 0xfd], 0 as UInt8, []) }

    /// Puts a byte into memory, says "ready", gives back each byte that it is sent, and behind a "q" what lies in memory.
    public func rememberAndEcho(_ byte: UInt8) -> BareGuest {
        // mov byte [0x200000], byte
        adding([0xc6, 0x04, 0x25, 0, 0, 0x20, 0], byte, []).print("ready\n").adding(
            // mov dx, 0x3fd; in al, dx; test al, 1; jz to the first of these; mov dx, 0x3f8; in al, dx; out dx, al;
            // cmp al, 'q'; jne to the first of all
            [0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf7, 0x66, 0xba], 0x3f8 as UInt16,
            // mov al, [0x200000]; out dx, al
            [0xec, 0xee, 0x3c, 0x71, 0x75, 0xed, 0x8a, 0x04, 0x25, 0, 0, 0x20, 0, 0xee])
    }

    /// Says "ready", gives back each byte that it is sent and keeps it in a page of its own, and says all of them behind a "q".
    public var keepTyped: BareGuest {
        // mov edi, 0x300000
        adding([0xbf], 0x30_0000 as UInt32, []).print("ready\n").adding(
            // mov dx, 0x3fd; in al, dx; test al, 1; jz to the first of these; mov dx, 0x3f8; in al, dx; out dx, al;
            // cmp al, 'q'; je to mov esi; mov [rdi], al; add edi, 4096; jmp to the first of all
            [0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf7, 0x66, 0xba], 0x3f8 as UInt16,
            [0xec, 0xee, 0x3c, 0x71, 0x74, 0x0a, 0x88, 0x07, 0x81, 0xc7, 0, 0x10, 0, 0, 0xeb, 0xe3]
        ).adding(
            // mov esi, 0x300000; cmp esi, edi; jae behind all; mov al, [rsi]; out dx, al; add esi, 4096; jmp to cmp
            [0xbe], 0x30_0000 as UInt32,
            [0x39, 0xfe, 0x73, 0x0b, 0x8a, 0x06, 0xee, 0x81, 0xc6, 0, 0x10, 0, 0, 0xeb, 0xf1])
    }

    /// Says "ready", and then puts a number that grows into two pages, at 4 and at 6 MiB, one after the other, until it is sent
    /// a byte, which it gives back.
    public var countInTwoPages: BareGuest {
        // mov ebx, 0x400000; mov ecx, 0x600000
        adding([0xbb], 0x40_0000 as UInt32, [0xb9]).adding([], 0x60_0000 as UInt32, []).print("ready\n").adding(
            // inc esi; mov [rbx], esi; mov [rcx], esi; mov dx, 0x3fd; in al, dx; test al, 1; jz to the first of these;
            // mov dx, 0x3f8; in al, dx; out dx, al
            [0xff, 0xc6, 0x89, 0x33, 0x89, 0x31, 0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf1, 0x66, 0xba],
            0x3f8 as UInt16, [0xec, 0xee])
    }

    /// Listens to the keyboard, has its interrupt 1 sent as 0x31, says "ready", waits until that is there and gives back four
    /// bytes of the keyboard's.
    public var echoKeys: BareGuest {
        var guest = output(0x60, port: 0x64).output(1, port: 0x60)
            // The interrupt controller's entry of pin 1, and the processor's own controller enabled.
            .fillRegisters(from: 0xfec0_0000, count: 1, value: 0x12)
            .fillRegisters(from: 0xfec0_0010, count: 1, value: 0x31)
            .fillRegisters(from: 0xfee0_00f0, count: 1, value: 0x1ff)
            .print("ready\n")
            // mov edi, requested interrupts 0x20 to 0x3f; mov eax, [rdi]; test eax, 0x20000; jz to the mov before
            .adding([0xbf], 0xfee0_0210 as UInt32, [0x8b, 0x07, 0xa9, 0, 0, 2, 0, 0x74, 0xf7])
            .adding([0x66, 0xba], 0x3f8 as UInt16, [])
        // in al, 0x60; out dx, al
        for _ in 0..<4 { guest.code += [0xe4, 0x60, 0xee] }
        return guest
    }

    /// Prints four letters of the processor's name.
    public var printProcessorName: BareGuest {
        // mov eax, 0x80000002; cpuid; mov dx, 0x3f8
        var guest = adding([0xb8], 0x8000_0002 as UInt32, [0x0f, 0xa2]).adding([0x66, 0xba], 0x3f8 as UInt16, [])
        // out dx, al; shr eax, 8
        for _ in 0..<4 { guest.code += [0xee, 0xc1, 0xe8, 8] }
        return guest
    }

    /// jmp to itself
    public var loopForever: BareGuest { adding([0xeb, 0xfe], 0 as UInt8, []) }

    /// ud2, without an interrupt table.
    public var tripleFault: BareGuest { adding([0x0f, 0x0b], 0 as UInt8, []) }

    /// Goes on where no memory is: mov eax, address; jmp rax
    public func jump(to address: UInt32) -> BareGuest { adding([0xb8], address, [0xff, 0xe0]) }

    private func adding<T: FixedWidthInteger & UnsignedInteger>(
        _ before: [UInt8], _ value: T, _ after: [UInt8]
    ) -> BareGuest {
        var guest = self
        guest.code += before
        guest.code.append(little: value)
        guest.code += after
        return guest
    }
}
