import BootTestSupport
import GuestMemory
import Testing

@testable import GuestBoot

@Suite struct BzImageTests {
    private func changed(_ change: (inout BzImageBuilder) -> Void) -> [UInt8] {
        var image = BzImageBuilder()
        change(&image)
        return image.bytes
    }

    @Test(arguments: [false, true])
    func `the code lies at the preferred address and is entered at its 64-bit entry`(isMapped: Bool) throws {
        let image = BzImageBuilder()
        let (kernel, memory) = try load(image.bytes, mapsFiles: isMapped)
        #expect(kernel.format == .bzImage && kernel.isLinux && kernel.preferredProtocol == .linux64)
        #expect(kernel.entry == 0x100_0200)
        #expect(kernel.start == 0x100_0000 && kernel.end == 0x140_0000)
        #expect(try memory.at(0x100_0000, image.code.count) == image.code)
    }

    @Test func `a relocatable kernel goes lower where the preferred address does not fit`() throws {
        let image = BzImageBuilder()
        let (kernel, memory) = try load(image.bytes, memoryBytes: 8 << 20)
        #expect(kernel.start == 0x20_0000)
        #expect(try memory.at(0x20_0000, image.code.count) == image.code)
        #expect(
            try refusal(image.bytes, memoryBytes: 5 << 20)
                == .kernelTooLarge(neededBytes: 6 << 20, memoryBytes: 5 << 20))
    }

    @Test func `a kernel that cannot be relocated lies at its address or not at all`() throws {
        let image = changed { $0.isRelocatable = false }
        #expect(try load(image).0.start == 0x100_0000)
        #expect(
            try refusal(image, memoryBytes: 8 << 20) == .kernelTooLarge(neededBytes: 20 << 20, memoryBytes: 8 << 20))
        let low = changed {
            $0.isRelocatable = false; $0.preferredAddress = 0x8000
        }
        #expect(try refusal(low) == .kernelMalformed(.loadAddress(0x8000)))
        let wrapping = changed {
            $0.isRelocatable = false; $0.preferredAddress = .max - 5
        }
        #expect(try refusal(wrapping) == .kernelMalformed(.loadAddress(.max - 5)))
    }

    @Test func `no count of setup sectors means four`() throws {
        let image = changed { $0.setupSectors = 0 }
        #expect(try load(image).1.at(0x100_0000, 100) == Array(BzImageBuilder().code[..<100]))
    }

    @Test func `each thing that is wrong is told apart`() throws {
        #expect(try refusal(changed { $0.version = 0x20b }) == .kernelMalformed(.protocolTooOld(version: 0x20b)))
        #expect(try refusal(changed { $0.loadFlags = 0 }) == .kernelMalformed(.loadsLow))
        #expect(try refusal(changed { $0.extraLoadFlags = 2 }) == .kernelFor32Bit(.bzImage))
        #expect(try refusal(changed { $0.alignment = 0x30_0000 }) == .kernelMalformed(.alignment(0x30_0000)))
        #expect(try refusal(changed { $0.alignment = 0 }) == .kernelMalformed(.alignment(0)))
        #expect(try refusal(changed { $0.initialBytes = 100 }) == .kernelMalformed(.sizes))
        #expect(try refusal(changed { $0.code = [1] }) == .kernelMalformed(.sizes))
    }

    @Test func `a file cut off at any byte is refused`() throws {
        var image = BzImageBuilder(code: pattern(0x240))
        image.setupSectors = 1
        let bytes = image.bytes
        #expect(try refusal(bytes) == nil)
        for length in 0..<bytes.count {
            switch try refusal(Array(bytes[..<length])) {
            // The code's length is known in units of 16 bytes only.
            case nil: #expect(length > bytes.count - 16)
            case .kernelEmpty: #expect(length == 0)
            case .kernelFormatUnknown: #expect(length < 0x206)
            case .kernelTruncated(_, let needed, let actual): #expect(needed > actual && actual == UInt64(length))
            case let other: Issue.record("\(length) bytes: \(String(describing: other))")
            }
        }
    }

    @Test func `the kernel's own limits count`() throws {
        let image = changed {
            $0.commandLineMaximumBytes = 10; $0.initialRamDiskMaximumAddress = 0x200_0fff
        }
        #expect(throws: BootError.commandLineTooLong(bytes: 11, maximumBytes: 10)) {
            try prepare(image, commandLine: "01234567890")
        }
        let (boot, _) = try prepare(image, ramDisks: [pattern(100)], commandLine: "")
        #expect(boot.initialRamDiskStart == 0x200_0000)
    }

    @Test func `the setup header reaches the zero page`() throws {
        let bytes = BzImageBuilder().bytes
        let (boot, memory) = try prepare(bytes)
        let page = try memory.at(boot.processor.rsi, 4096)
        #expect(page.field(UInt32.self, at: 0x202) == 0x5372_6448)
        #expect(page.field(UInt64.self, at: 0x258) == 0x100_0000)
        #expect(page.field(UInt32.self, at: 0x260) == 0x40_0000)
        // Nothing beyond the header.
        #expect(page[0x26c..<0x290].allSatisfy { $0 == 0 })
    }
}
