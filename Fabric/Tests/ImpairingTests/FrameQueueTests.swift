import FabricProtocol
import Testing

@testable import Impairing

private let millisecond: UInt64 = 1_000_000
private let second: UInt64 = 1_000_000_000

private func queue(seed: UInt64 = 1, _ change: (inout Impairment.Way) -> Void) -> FrameQueue {
    var way = Impairment.Way()
    change(&way)
    var queue = FrameQueue(seed: seed)
    queue.set(way)
    return queue
}

extension FrameQueue {
    fileprivate mutating func take(_ lengthBytes: Int, at nanoseconds: UInt64) {
        take(lengthBytes: lengthBytes, headerBytes: 0, at: nanoseconds)
    }

    /// All that are to leave by then, with their lengths and when each was due.
    fileprivate mutating func leaving(by nanoseconds: UInt64) -> [(lengthBytes: Int, due: UInt64, times: Int)] {
        var frames: [(lengthBytes: Int, due: UInt64, times: Int)] = []
        while let due = nextDueNanoseconds, let frame = first(dueBy: nanoseconds) {
            frames.append((frame.lengthBytes, due, frame.times))
            removeFirst()
        }
        return frames
    }
}

@Suite struct FrameQueueTests {
    @Test func `nothing is done to what comes unless it is said`() {
        var queue = queue { _ in }
        for number in 1...1000 { queue.take(number, at: UInt64(number)) }
        let left = queue.leaving(by: 1000)
        #expect(left.map(\.lengthBytes) == Array(1...1000) && left.map(\.due) == Array(1...1000))
        #expect(left.allSatisfy { $0.times == 1 } && queue.nextDueNanoseconds == nil)
        #expect(queue.counts.frames == 1000 && queue.counts.lost == 0 && queue.counts.dropped == 0)
    }

    @Test func `each frame leaves when its delay is over, and not before`() {
        var queue = queue { $0.delayMicroseconds = 80_000 }
        for number in 1...100 { queue.take(number, at: UInt64(number) * millisecond) }
        #expect(queue.counts.waiting == 100 && queue.nextDueNanoseconds == 81 * millisecond)
        #expect(queue.leaving(by: 81 * millisecond - 1).isEmpty)
        #expect(queue.leaving(by: 130 * millisecond).map(\.lengthBytes) == Array(1...50))
        #expect(queue.leaving(by: second).map(\.due) == (51...100).map { UInt64($0 + 80) * millisecond })
        #expect(queue.counts.waiting == 0)
    }

    @Test func `jitter is within its bounds, evenly, and has frames overtake one another`() {
        var queue = queue {
            $0.delayMicroseconds = 50_000
            $0.jitterMicroseconds = 20_000
        }
        for number in 1...2000 { queue.take(number, at: UInt64(number) * 1000) }
        let left = queue.leaving(by: second)
        let delays = left.map { $0.due - UInt64($0.lengthBytes) * 1000 }
        #expect(left.count == 2000 && left.map(\.due) == left.map(\.due).sorted())
        #expect(left.map(\.lengthBytes) != left.map(\.lengthBytes).sorted())
        #expect(delays.allSatisfy { (30 * millisecond...70 * millisecond).contains($0) })
        #expect(
            delays.min().map { $0 < 31 * millisecond } == true && delays.max().map { $0 > 69 * millisecond } == true)
        let mean = delays.reduce(0, +) / 2000
        #expect((48 * millisecond...52 * millisecond).contains(mean))
    }

    @Test func `by a rate each leaves after the one before it, without its header`() {
        var queue = queue {
            $0.kilobitsPerSecond = 8000
            $0.delayMicroseconds = 10_000
        }
        // A millisecond each.
        for _ in 0..<5 { queue.take(lengthBytes: 1010, headerBytes: 10, at: 0) }
        #expect(queue.leaving(by: second).map(\.due) == (11...15).map { UInt64($0) * millisecond })
        // The line was idle meanwhile.
        queue.take(lengthBytes: 510, headerBytes: 10, at: second)
        #expect(queue.leaving(by: 2 * second).map(\.due) == [second + 10_500_000])
    }

    @Test func `who would wait for its turn for more than a second is dropped`() {
        var queue = queue { $0.kilobitsPerSecond = 800 }
        // A tenth of a second each: the twelfth would wait for longer than one.
        for _ in 0..<20 { queue.take(10_000, at: 0) }
        #expect(queue.counts.waiting == 11 && queue.counts.dropped == 9 && queue.counts.lost == 0)
        // When the rate is another one, newcomers do not wait for the old one's.
        queue.set(Impairment.Way())
        queue.take(1, at: 5)
        #expect(queue.leaving(by: 10).map(\.lengthBytes) == [1])
        #expect(queue.leaving(by: 2 * second).count == 11)
    }

    @Test(arguments: [1, 2, 3]) func `as many are lost and doubled as was said`(seed: UInt64) {
        var queue = queue(seed: seed) {
            $0.lossMillipercent = 30_000
            $0.duplicateMillipercent = 1500
        }
        var times: [Int] = []
        for _ in 0..<20 {
            for _ in 0..<5000 { queue.take(100, at: 0) }
            times += queue.leaving(by: 0).map(\.times)
        }
        #expect(queue.counts.frames == 100_000 && times.count == 100_000 - Int(queue.counts.lost))
        #expect((29_000...31_000).contains(queue.counts.lost) && queue.counts.dropped == 0)
        #expect(times.count { $0 == 2 } == Int(queue.counts.duplicated))
        #expect((850...1250).contains(queue.counts.duplicated))
    }

    @Test func `all and none are exactly that`() {
        for (share, lost) in [(UInt32(0), UInt64(0)), (100_000, 10_000)] {
            var queue = queue { $0.lossMillipercent = share }
            for _ in 0..<10_000 {
                queue.take(1, at: 0)
                _ = queue.leaving(by: 0)
            }
            #expect(queue.counts.lost == lost)
        }
    }

    @Test func `what is changed is so for those that come later`() {
        var queue = queue { $0.delayMicroseconds = 500_000 }
        queue.take(1, at: 0)
        queue.set(Impairment.Way())
        queue.take(2, at: 1)
        #expect(queue.leaving(by: 1).map(\.lengthBytes) == [2])
        #expect(queue.leaving(by: second).map(\.due) == [500 * millisecond])
    }

    /// Any frames at all, with every piece held to be one frame's only.
    @Test(arguments: 1...5) func `no piece is two frames'`(seed: UInt64) {
        var dice = Dice(state: seed)
        var queue = queue(seed: seed) {
            $0.delayMicroseconds = 10_000
            $0.jitterMicroseconds = 10_000
            $0.lossMillipercent = 5000
        }
        // By its first byte, as the process would put them.
        var holder = [Int](repeating: 0, count: FrameQueue.pieces)
        var now: UInt64 = 0
        var (came, left) = (0, 0)
        for number in 1...30_000 {
            now += dice.number(upTo: 3000)
            let length = dice.happens(10_000) ? Int(dice.number(upTo: 65_000)) + 1 : Int(dice.number(upTo: 1600)) + 1
            let count = (length + FrameQueue.pieceBytes - 1) / FrameQueue.pieceBytes
            for place in 0..<count {
                #expect(holder[queue.piece(place)] == 0)
                holder[queue.piece(place)] = number
            }
            let pieces = (0..<count).map { queue.piece($0) }
            let waiting = queue.counts.waiting
            queue.take(length, at: now)
            if queue.counts.waiting == waiting { for piece in pieces { holder[piece] = 0 } } else { came += 1 }
            while let frame = queue.first(dueBy: now) {
                var piece = frame.firstPiece
                let number = holder[piece]
                for _ in 0..<(frame.lengthBytes + FrameQueue.pieceBytes - 1) / FrameQueue.pieceBytes {
                    #expect(holder[piece] == number && number > 0)
                    holder[piece] = 0
                    piece = queue.piece(after: piece)
                }
                left += 1
                queue.removeFirst()
            }
        }
        left += queue.leaving(by: .max).count
        #expect(came == left && left > 1000 && queue.counts.dropped > 0)
        #expect(queue.counts.frames == UInt64(left) + queue.counts.lost + queue.counts.dropped)
    }

    @Test func `there is always room to read one more, and what there is none for is dropped and counted`() {
        var queue = queue { $0.delayMicroseconds = 10_000_000 }
        for length in [FrameQueue.mostPiecesOfFrame * FrameQueue.pieceBytes, 60] {
            for _ in 0..<20_000 {
                queue.take(length, at: 0)
                _ = queue.piece(FrameQueue.mostPiecesOfFrame - 1)
            }
        }
        #expect(queue.counts.dropped + queue.counts.waiting == 40_000)
        #expect(queue.counts.waiting > 240)
        #expect(queue.leaving(by: .max).count == Int(40_000 - queue.counts.dropped))
        queue.take(60, at: 0)
        #expect(queue.counts.waiting == 1)
    }
}
