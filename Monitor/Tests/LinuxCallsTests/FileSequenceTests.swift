import Foundation
import LinuxCalls
import Testing

@Suite struct FileSequenceTests {
    @Test func `each offset lies in the file that has it`() throws {
        let lengths: [UInt64] = [4096, 1, 10, 4096]
        var files = FileSequence(try memoryFile(name: "0", lengthBytes: 0), lengthBytes: lengths[0], capacity: 4)
        var descriptors = [files.first.number]
        for length in lengths.dropFirst() {
            let file = try memoryFile(name: "n", lengthBytes: 0)
            descriptors.append(file.number)
            try files.append(file, lengthBytes: length)
        }
        #expect(files.count == 4 && files.totalBytes == 8203)
        var start: UInt64 = 0
        for (length, descriptor) in zip(lengths, descriptors) {
            for offset in [0, length / 2, length - 1] {
                let place = files.place(at: start + offset)
                #expect(place.descriptor == descriptor && place.offset == offset)
                #expect(place.followingBytes == length - offset)
            }
            start += length
        }
        #expect(files.place(at: start).followingBytes == 0)
        #expect(files.place(at: .max).followingBytes == 0)
    }

    @Test func `one more than there is room for, or a whole that is too long, is refused`() throws {
        var files = FileSequence(try memoryFile(name: "a", lengthBytes: 0), lengthBytes: 1, capacity: 2)
        #expect(throws: LinuxError(27)) {
            try files.append(try memoryFile(name: "b", lengthBytes: 0), lengthBytes: UInt64(Int64.max))
        }
        #expect(throws: LinuxError(27)) {
            try files.append(try memoryFile(name: "b", lengthBytes: 0), lengthBytes: .max)
        }
        try files.append(try memoryFile(name: "b", lengthBytes: 0), lengthBytes: 1)
        #expect(throws: LinuxError(7)) { try files.append(try memoryFile(name: "c", lengthBytes: 0), lengthBytes: 1) }
        #expect(files.count == 2 && files.totalBytes == 2)
    }

    @Test func `its files are closed with it`() throws {
        var numbers: [Int32] = []
        do {
            var files = FileSequence(
                try memoryFile(name: "sequence-closed", lengthBytes: 0), lengthBytes: 1, capacity: 2)
            try files.append(try memoryFile(name: "sequence-closed", lengthBytes: 0), lengthBytes: 1)
            numbers = [files.place(at: 0).descriptor, files.place(at: 1).descriptor]
            // A number that is free now may be another test's in a moment: what counts is the file behind it.
            for number in numbers { #expect(try link(number).hasPrefix("/memfd:sequence-closed")) }
        }
        for number in numbers { #expect((try? link(number))?.hasPrefix("/memfd:sequence-closed") != true) }
    }

    private func link(_ number: Int32) throws -> String {
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(number)")
    }
}
