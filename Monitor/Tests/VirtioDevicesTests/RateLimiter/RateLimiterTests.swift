import LinuxCalls
import Testing
import VirtioTestSupport

@testable import VirtioDevices

@Suite struct RateLimiterTests {
    @Test func `a bucket gives its burst once, then what it holds, then what comes back`() {
        var bucket = TokenBucket(size: 100, burst: 50, refillNanoseconds: 1000, now: 0)
        bucket.spend(150)
        #expect(!bucket.isOpen)
        #expect(bucket.waitNanoseconds == 10)
        bucket.refill(now: 9)
        #expect(!bucket.isOpen)
        bucket.refill(now: 10)
        #expect(bucket.isOpen && bucket.waitNanoseconds == 0)
        bucket.refill(now: 1_000_000)
        bucket.spend(100)
        #expect(!bucket.isOpen)
    }

    @Test func `what was taken beyond is owed`() {
        var bucket = TokenBucket(size: 100, burst: 0, refillNanoseconds: 1000, now: 0)
        bucket.spend(300)
        #expect(bucket.waitNanoseconds == 2010)
        bucket.refill(now: 2000)
        #expect(!bucket.isOpen)
        bucket.refill(now: 2010)
        #expect(bucket.isOpen)
    }

    /// Whatever the steps of time and the sizes of the pieces, no more is given than the rate allows.
    @Test func `the rate holds for any steps`() {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<200 {
            let size = UInt64.random(in: 1...1 << 40, using: &generator)
            let refill = UInt64.random(in: 1...1 << 40, using: &generator)
            let largest = UInt64.random(in: 1...1 << 20, using: &generator)
            var bucket = TokenBucket(size: size, burst: 0, refillNanoseconds: refill, now: 0)
            bucket.spend(size)
            var now: UInt64 = 0
            var given: UInt64 = 0
            for _ in 0..<300 {
                now += UInt64.random(in: 0...refill / 16 + 3, using: &generator)
                bucket.refill(now: now)
                guard bucket.isOpen else { continue }
                let piece = UInt64.random(in: 1...largest, using: &generator)
                bucket.spend(piece)
                given += piece
            }
            // To the nanosecond: size * time / refill, and one piece of overshoot.
            let earned = Double(size) * Double(now) / Double(refill)
            #expect(Double(given) <= earned * (1 + 1e-9) + Double(largest), "size \(size), refill \(refill)")
        }
    }

    @Test func `extreme figures are only arithmetic`() {
        for size in [1, UInt64(Int64.max), .max] {
            for refill in [1, UInt64.max] {
                var bucket = TokenBucket(size: size, burst: .max, refillNanoseconds: refill, now: 0)
                for now in [UInt64(0), 1, .max / 2, .max, 3] {
                    bucket.spend(.max)
                    bucket.refill(now: now)
                    _ = bucket.waitNanoseconds
                }
            }
        }
    }

    @Test(arguments: engines) func `a disk does no more than it may, and all of it in the end`(
        engine: BlockEngine
    ) throws {
        let block = try BlockHarness(engine: engine)
        let device = block.device
        try limit(device, operations: 2, refillMilliseconds: 200)
        let start = Clock.monotonic.nanoseconds()
        for sector in 0..<6 { #expect(block.request(0, sector: UInt64(sector), reading: [512])?.status == 0) }
        // Two at once, and four that had to ripen for a tenth of a second each.
        #expect(Clock.monotonic.nanoseconds() - start >= 390_000_000)
        #expect(device.limiter.throttled.value >= 4)
        // No limit lets the next go at once, also one that waits.
        try limit(device, operations: 0, refillMilliseconds: 0)
        let throttled = device.limiter.throttled.value
        for sector in 0..<6 { #expect(block.request(0, sector: UInt64(sector), reading: [512])?.status == 0) }
        #expect(device.limiter.throttled.value == throttled)
    }

    private func limit(_ device: BlockDevice, operations: UInt64, refillMilliseconds: UInt64) throws {
        var failure: LinuxError?
        device.loop.perform {
            do throws(LinuxError) {
                try device.setLimits { (limiter, handler, token) throws(LinuxError) in
                    try limiter.setOperations(
                        size: operations, burst: 0, refillMilliseconds: refillMilliseconds, handler: handler,
                        token: token)
                }
            } catch { failure = error }
        }
        #expect(failure == nil)
    }

    @Test func `a disk's file can be another one from one request to the next`() throws {
        let block = try BlockHarness(engine: .automatic)
        let other = try ScratchDisk(lengthBytes: 1 << 17)
        try other.write([UInt8](repeating: 5, count: 512), at: 0)
        #expect(block.request(0, sector: 0, reading: [512])?.data == [UInt8](repeating: 0, count: 512))
        block.device.replace(try BlockBackend(try other.open(), isReadOnly: false, cache: .writeback))
        #expect(block.harness.takeInterrupt())
        #expect(block.device.readConfiguration(offset: 0, width: 4) == 256)
        #expect(block.request(0, sector: 0, reading: [512])?.data == [UInt8](repeating: 5, count: 512))
        #expect(block.request(0, sector: 255, reading: [512])?.status == 0)
        #expect(block.device.metrics.replacements.value == 1)
    }
}
