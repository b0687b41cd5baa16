import BootTestSupport
import LinuxCalls
import Testing

@testable import GuestBoot

@Suite struct ForeignFormatTests {
    @Test func `files that are no kernels are told what they look like`() throws {
        let padding = [UInt8](repeating: 1, count: 2000)
        func look(_ bytes: [UInt8]) throws -> ForeignFormat? {
            guard case .kernelFormatUnknown(let format) = try refusal(bytes) else { return nil }
            return format
        }
        #expect(try look([0x1f, 0x8b, 8] + padding) == .gzip)
        #expect(try look([0x02, 0x21, 0x4c, 0x18] + padding) == .lz4)
        #expect(try look([0x28, 0xb5, 0x2f, 0xfd] + padding) == .zstd)
        #expect(try look([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0] + padding) == .xz)
        #expect(
            try look(Array("MZ".utf8) + [UInt8](repeating: 0, count: 0x36) + Array("ARM\u{64}".utf8) + padding)
                == .arm64Image)
        #expect(try look(Array("MZ".utf8) + padding) == .efiProgram)
        #expect(try look(Array("070701".utf8) + padding) == .cpioArchive)
        #expect(try look(Array("!<arch>\n".utf8) + padding) == .debianPackage)
        #expect(try look([UInt8](repeating: 0, count: 1024) + [0xe2, 0xe1, 0xf5, 0xe0] + padding) == .erofsDisk)
        #expect(try look(Array("#!/bin/sh\n".utf8)) == .script)
        #expect(try look(Array("hello\n".utf8)) == .text)
        #expect(try look([UInt8](repeating: 0, count: 100)) == .zeroes)
        #expect(try look(padding) == .unknown)
        #expect(try refusal([]) == .kernelEmpty)
    }

    @Test func `every error says what would do`() throws {
        let message = BootError.kernelFormatUnknown(.cpioArchive).description
        #expect(message.contains("interchanged"))
        #expect(
            BootError.kernelTooLarge(neededBytes: (42 << 20) + 1, memoryBytes: 32 << 20).description.contains("43 MiB"))
        #expect(BootError.kernelForOtherProcessor(machine: 183).description.contains("arm64"))
        for message in [message, BootError.memoryTooSmall(memoryBytes: 5).description] {
            #expect(!message.contains("\n") && !message.hasPrefix("T"))
        }
    }

    @Test func `a descriptor that is no file is an error, not a trap`() throws {
        #expect(throws: BootError.kernelUnreadable(LinuxError(9))) {
            try KernelImage.load(file: -1, into: .init(totalBytes: 4 << 20))
        }
        let directory = try open("/", .readOnly)
        #expect(throws: BootError.self) {
            try KernelImage.load(file: directory.number, into: .init(totalBytes: 4 << 20))
        }
    }
}
