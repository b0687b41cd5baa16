import LinuxCalls
import Testing

/// Whether this kernel lets us have a ring; without one the block device works by plain system calls.
private let isRingAvailable: Bool = {
    do throws(LinuxError) {
        _ = try IORing(entries: 1)
        return true
    } catch { return false }
}()

@Suite(.enabled(if: isRingAvailable, "this kernel does not offer io_uring"))
struct IORingTests {
    @Test func `requests are carried out and tell their tokens`() throws {
        let file = try memoryFile(name: "ring", lengthBytes: 64)
        var ring = try IORing(entries: 4)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 8)
        defer { unsafe buffer.deallocate() }
        for index in 0..<64 { unsafe buffer[index] = UInt8(index) }
        let address = UInt64(UInt(bitPattern: buffer.baseAddress))
        func prepare(_ operation: IORingOperation, _ offset: UInt64, _ length: UInt32, _ token: UInt64) -> Bool {
            // SAFETY: the buffer is freed after the last completion.
            unsafe ring.prepare(
                operation, descriptor: file.number, offset: offset, address: address + offset, length: length, flags: 0,
                token: token)
        }
        #expect(prepare(.write, 0, 16, 7))
        #expect(prepare(.write, 16, 48, 8))
        try ring.submit(minimumCompletions: 2)
        var results: [UInt64: Int32] = [:]
        while let completion = ring.nextCompletion() { results[completion.token] = completion.result }
        #expect(results == [7: 16, 8: 48])
        for index in 0..<64 { unsafe buffer[index] = 0 }
        #expect(prepare(.read, 8, 200, 9))
        try ring.submit(minimumCompletions: 1)
        let completion = ring.nextCompletion()
        #expect(completion?.token == 9)
        #expect(completion?.result == 56)
        let readBack = unsafe buffer[8]
        #expect(readBack == 8)
    }

    @Test func `a full ring takes no more until it is submitted`() throws {
        let file = try memoryFile(name: "ring", lengthBytes: 64)
        var ring = try IORing(entries: 2)
        func prepare() -> Bool {
            unsafe ring.prepare(
                .synchronize, descriptor: file.number, offset: 0, address: 0, length: 0, flags: 1, token: 0)
        }
        for round in 0..<10 {
            let first = prepare()
            let second = prepare()
            let third = prepare()
            #expect(first && second && !third, "round \(round)")
            try ring.submit(minimumCompletions: 2)
            while ring.nextCompletion() != nil {}
        }
    }

    @Test func `an error of the kernel is the request's result`() throws {
        var ring = try IORing(entries: 1)
        let isPrepared = unsafe ring.prepare(
            .synchronize, descriptor: -1, offset: 0, address: 0, length: 0, flags: 0, token: 1)
        #expect(isPrepared)
        try ring.submit(minimumCompletions: 1)
        let result = ring.nextCompletion()?.result
        #expect(result == -9)
    }
}
