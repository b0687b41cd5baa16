public import FabricProtocol

/// One way of a stretch: which frames wait there, and when each of them leaves. It knows no clock and no kernel, and has no bytes of
/// frames: these lie in a room of `pieces` pieces, of which the queue says which are whose.
///
/// Nothing is allocated once it is made.
public struct FrameQueue {
    public static let pieceBytes = 2048
    /// 16 MiB: what a gigabit has under way in an eighth of a second.
    public static let pieces = 8192
    /// For a segment of 64 KiB with what stands before it.
    public static let mostPiecesOfFrame = 33
    /// For so long a frame waits at most for those before it to leave by the rate; otherwise it is dropped, as by a router.
    public static let mostBacklogNanoseconds: UInt64 = 1_000_000_000

    /// For so long a frame may wait on such a way: its turn, the longest frame by the rate, and its delay.
    public static func mostWaitingNanoseconds(_ way: Impairment.Way) -> UInt64 {
        let bits = UInt64(mostPiecesOfFrame * pieceBytes) * 8
        let line =
            way.kilobitsPerSecond == 0
            ? 0 : mostBacklogNanoseconds + bits * 1_000_000 / UInt64(way.kilobitsPerSecond)
        return line + (UInt64(way.delayMicroseconds) + UInt64(way.jitterMicroseconds)) * 1000
    }

    /// A frame that is to leave now.
    public struct Frame: Equatable, Sendable {
        public var firstPiece: Int
        public var lengthBytes: Int
        public var times: Int
    }

    private struct Waiting {
        var dueNanoseconds: UInt64
        /// Those that are due at one moment leave as they came.
        var number: UInt64
        var lengthBytes: UInt32
        var firstPiece: UInt16
        var times: UInt16

        func isBefore(_ other: Waiting) -> Bool {
            dueNanoseconds != other.dueNanoseconds ? dueNanoseconds < other.dueNanoseconds : number < other.number
        }
    }

    public private(set) var counts = WayCounts()
    private var way = Impairment.Way()
    private var dice: Dice
    /// A heap: of each element those at twice its place and one, and two, are later.
    private var waiting: [Waiting] = []
    /// Behind each piece the next one of its frame.
    private var following: [UInt16]
    /// The last ones are the next to be taken.
    private var free: [UInt16]
    /// When the last frame that came has left, or will have, by the rate.
    private var lineFreeNanoseconds: UInt64 = 0
    private var arrivals: UInt64 = 0

    public init(seed: UInt64) {
        dice = Dice(state: seed)
        following = [UInt16](repeating: 0, count: Self.pieces)
        free = (0..<Self.pieces).reversed().map { UInt16($0) }
        waiting.reserveCapacity(Self.pieces)
    }

    /// For frames that come from now on; those that wait leave when they were to.
    public mutating func set(_ way: Impairment.Way) {
        if way.kilobitsPerSecond != self.way.kilobitsPerSecond { lineFreeNanoseconds = 0 }
        self.way = way
    }

    // MARK: Coming

    /// Where the next frame is to be put: the piece for its beginning is the one at place 0. There are always `mostPiecesOfFrame`.
    public func piece(_ place: Int) -> Int { Int(free[free.count - 1 - place]) }

    /// A frame has come, and lies in the next pieces. It waits there, or is lost.
    /// - Parameter headerBytes: how many of its bytes are not sent over a line.
    public mutating func take(lengthBytes: Int, headerBytes: Int, at nanoseconds: UInt64) {
        counts.frames &+= 1
        if way.lossMillipercent > 0, dice.happens(way.lossMillipercent) {
            counts.lost &+= 1
            return
        }
        let count = max(1, (lengthBytes + Self.pieceBytes - 1) / Self.pieceBytes)
        guard free.count - count >= Self.mostPiecesOfFrame,
            lineFreeNanoseconds <= nanoseconds + Self.mostBacklogNanoseconds
        else {
            counts.dropped &+= 1
            return
        }
        var due = nanoseconds
        if way.kilobitsPerSecond > 0 {
            let bits = UInt64(max(0, lengthBytes - headerBytes)) * 8
            lineFreeNanoseconds =
                max(lineFreeNanoseconds, nanoseconds) + bits * 1_000_000 / UInt64(way.kilobitsPerSecond)
            due = lineFreeNanoseconds
        }
        due += UInt64(way.delayMicroseconds) * 1000
        if way.jitterMicroseconds > 0 {
            let jitter = min(way.jitterMicroseconds, way.delayMicroseconds)
            due = due - UInt64(jitter) * 1000 + dice.number(upTo: UInt64(jitter) * 2000)
        }
        var times: UInt16 = 1
        if way.duplicateMillipercent > 0, dice.happens(way.duplicateMillipercent) {
            counts.duplicated &+= 1
            times = 2
        }
        let first = free[free.count - 1]
        var last = first
        for place in stride(from: 1, to: count, by: 1) {
            let piece = free[free.count - 1 - place]
            following[Int(last)] = piece
            last = piece
        }
        free.removeLast(count)
        arrivals &+= 1
        put(
            Waiting(
                dueNanoseconds: due, number: arrivals, lengthBytes: UInt32(truncatingIfNeeded: lengthBytes),
                firstPiece: first, times: times))
    }

    // MARK: Leaving

    /// When somebody leaves next; nil when nobody waits.
    public var nextDueNanoseconds: UInt64? { waiting.isEmpty ? nil : waiting[0].dueNanoseconds }

    /// The next one that is to leave by now, which `removeFirst` lets go of.
    public func first(dueBy nanoseconds: UInt64) -> Frame? {
        guard !waiting.isEmpty, waiting[0].dueNanoseconds <= nanoseconds else { return nil }
        return Frame(
            firstPiece: Int(waiting[0].firstPiece), lengthBytes: Int(waiting[0].lengthBytes),
            times: Int(waiting[0].times))
    }

    /// Of the frame of a piece, the next one.
    public func piece(after piece: Int) -> Int { Int(following[piece]) }

    public mutating func removeFirst() {
        guard !waiting.isEmpty else { return }
        let gone = waiting[0]
        var piece = gone.firstPiece
        for _ in 0..<max(1, (Int(gone.lengthBytes) + Self.pieceBytes - 1) / Self.pieceBytes) {
            free.append(piece)
            piece = following[Int(piece)]
        }
        let last = waiting.removeLast()
        counts.waiting = UInt64(waiting.count)
        if !waiting.isEmpty { sink(last) }
    }

    /// Nobody took it.
    mutating func noteDropped() { counts.dropped &+= 1 }

    // MARK: The heap

    private mutating func put(_ new: Waiting) {
        waiting.append(new)
        counts.waiting = UInt64(waiting.count)
        var place = waiting.count - 1
        while place > 0 {
            let above = (place - 1) / 2
            guard new.isBefore(waiting[above]) else { break }
            waiting[place] = waiting[above]
            place = above
        }
        waiting[place] = new
    }

    /// Puts an element in the place of the first.
    private mutating func sink(_ element: Waiting) {
        var place = 0
        while true {
            var below = place * 2 + 1
            guard below < waiting.count else { break }
            if below + 1 < waiting.count, waiting[below + 1].isBefore(waiting[below]) { below += 1 }
            guard waiting[below].isBefore(element) else { break }
            waiting[place] = waiting[below]
            place = below
        }
        waiting[place] = element
    }
}

/// What has become of frames.
public struct WayCounts: Equatable, Sendable {
    /// That have come.
    public var frames: UInt64 = 0
    /// As was to be.
    public var lost: UInt64 = 0
    public var duplicated: UInt64 = 0
    /// There was no room for them, or nobody who took them.
    public var dropped: UInt64 = 0
    public var waiting: UInt64 = 0

    public init() {}
}

/// SplitMix64: nobody gains anything by guessing what comes next.
struct Dice {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    /// Any number from 0 on, as likely as any other.
    mutating func number(upTo most: UInt64) -> UInt64 { next().multipliedFullWidth(by: most + 1).high }

    /// - Parameter millipercent: in how many of a hundred thousand.
    mutating func happens(_ millipercent: UInt32) -> Bool { number(upTo: 99_999) < UInt64(millipercent) }
}
