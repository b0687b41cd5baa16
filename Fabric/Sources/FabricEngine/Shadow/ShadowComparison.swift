import WireFormats

/// What two appliances let through of the same frames.
struct ShadowComparison {
    enum Verdict: UInt8 { case passed, changed, held }
    enum Side: Int { case present = 0, shadow = 1 }

    /// So that it ends, however much goes by.
    private static let mostFrames = 400_000
    private static let mostKinds = 4096
    private static let mostDifferences = 16
    private static let mostStrangers = 64

    /// Frames that differ in the same way, as far as people tell them apart.
    private struct Difference: Hashable {
        let words: String
        let isOutward: Bool
        let present: Verdict
        let shadow: Verdict
    }

    /// One way through the appliances.
    private struct Way {
        var entered: [FrameIdentity] = []
        var known: Set<UInt64> = []
        var left = [Leaving(), Leaving()]
    }

    /// What has come out of one of them.
    private struct Leaving {
        var whole: [UInt64: Int] = [:]
        var contents: [UInt64: Int] = [:]
        var flows: [UInt64: ByteRanges] = [:]
        /// Of connections that nobody has sent in: they have other addresses or ports than before.
        var strangers: [ByteRanges] = []
        var frames = 0
    }

    private var ways = [Way(), Way()]
    /// Frames that were not looked at.
    var unseen: UInt64 = 0

    /// A frame that both were given.
    mutating func enters(_ frame: FrameIdentity, isOutward: Bool) {
        let way = isOutward ? 1 : 0
        guard ways[way].entered.count < Self.mostFrames else {
            unseen += 1
            return
        }
        ways[way].entered.append(frame)
        ways[way].known.insert(frame.segment?.flow ?? frame.whole)
    }

    mutating func leaves(_ frame: FrameIdentity, isOutward: Bool, _ side: Side) {
        let way = isOutward ? 1 : 0
        guard ways[way].left[side.rawValue].frames < 2 * Self.mostFrames else {
            unseen += 1
            return
        }
        ways[way].left[side.rawValue].frames += 1
        if let segment = frame.segment {
            ways[way].left[side.rawValue].flows[segment.flow, default: ByteRanges()].add(segment)
        } else {
            ways[way].left[side.rawValue].whole[frame.whole, default: 0] += 1
            ways[way].left[side.rawValue].contents[frame.contents, default: 0] += 1
        }
    }

    /// Judges each frame that went in.
    consuming func result() -> JSONValue {
        var counts: [Difference: Int] = [:]
        var totals = [0, 0]
        var agreed = [0, 0, 0]
        for way in 0..<2 {
            totals[way] = ways[way].entered.count
            for side in 0..<2 { findStrangers(way, side) }
            let entered = ways[way].entered
            ways[way].entered = []
            for frame in entered {
                let verdicts = [verdict(frame, way, .present), verdict(frame, way, .shadow)]
                if verdicts[0] == verdicts[1] {
                    agreed[Int(verdicts[0].rawValue)] += 1
                    continue
                }
                var difference = Difference(
                    words: frame.words, isOutward: way == 1, present: verdicts[0], shadow: verdicts[1])
                if counts.count >= Self.mostKinds, counts[difference] == nil {
                    difference = Difference(
                        words: "others", isOutward: way == 1, present: verdicts[0], shadow: verdicts[1])
                }
                counts[difference, default: 0] += 1
            }
        }
        let sample = counts.sorted { $0.value > $1.value }.prefix(Self.mostDifferences).map { difference, count in
            JSONValue.object([
                JSONMember("frames", .string(difference.words)),
                JSONMember("outward", .boolean(difference.isOutward)),
                JSONMember("present", .string(Self.name(difference.present))),
                JSONMember("shadow", .string(Self.name(difference.shadow))),
                JSONMember("count", .integer(Int64(count))),
            ])
        }
        return .object([
            JSONMember("outward", .integer(Int64(totals[1]))), JSONMember("inward", .integer(Int64(totals[0]))),
            JSONMember("passed", .integer(Int64(agreed[0]))), JSONMember("changed", .integer(Int64(agreed[1]))),
            JSONMember("held", .integer(Int64(agreed[2]))),
            JSONMember("differing", .integer(Int64(counts.values.reduce(0, +)))),
            JSONMember("unseen", .integer(Int64(clamping: unseen))), JSONMember("differences", .array(sample)),
        ])
    }

    /// More than can be asked for each frame are not looked at.
    private mutating func findStrangers(_ way: Int, _ side: Int) {
        let known = ways[way].known
        let strangers = ways[way].left[side].flows.filter { !known.contains($0.key) }.map { $0.value }
        unseen += UInt64(max(0, strangers.count - Self.mostStrangers))
        ways[way].left[side].strangers = Array(strangers.prefix(Self.mostStrangers))
    }

    private static func name(_ verdict: Verdict) -> String {
        switch verdict {
        case .passed: "passed"
        case .changed: "changed"
        case .held: "held"
        }
    }

    /// What became of a frame; of frames that are the same each has its own.
    private mutating func verdict(_ frame: FrameIdentity, _ way: Int, _ side: Side) -> Verdict {
        if let segment = frame.segment {
            if ways[way].left[side.rawValue].flows[segment.flow]?.contains(segment) == true { return .passed }
            let isTranslated = ways[way].left[side.rawValue].strangers.contains { $0.contains(segment) }
            return isTranslated ? .changed : .held
        }
        if let count = ways[way].left[side.rawValue].whole[frame.whole], count > 0 {
            ways[way].left[side.rawValue].whole[frame.whole] = count - 1
            ways[way].left[side.rawValue].contents[frame.contents, default: 1] -= 1
            return .passed
        }
        if let count = ways[way].left[side.rawValue].contents[frame.contents], count > 0 {
            ways[way].left[side.rawValue].contents[frame.contents] = count - 1
            return .changed
        }
        return .held
    }
}

/// Which bytes of a TCP connection have gone by, one way.
private struct ByteRanges {
    /// Who leaves more gaps has the rest counted as held back.
    private static let most = 1024

    /// In their order, apart from each other; counted from the first byte that was seen.
    private var ranges: [Range<Int>] = []
    private var first: UInt32?

    private func range(_ segment: FrameIdentity.Segment) -> Range<Int> {
        let start = Int(Int32(bitPattern: segment.sequence &- (first ?? segment.sequence)))
        return start..<start + Int(segment.length)
    }

    mutating func add(_ segment: FrameIdentity.Segment) {
        if first == nil { first = segment.sequence }
        var new = range(segment)
        var place = ranges.endIndex
        while place > 0, ranges[place - 1].upperBound >= new.lowerBound {
            place -= 1
            if ranges[place].lowerBound <= new.upperBound {
                let old = ranges.remove(at: place)
                new = min(old.lowerBound, new.lowerBound)..<max(old.upperBound, new.upperBound)
            }
        }
        if ranges.count < Self.most { ranges.insert(new, at: place) }
    }

    func contains(_ segment: FrameIdentity.Segment) -> Bool {
        guard first != nil else { return false }
        let wanted = range(segment)
        return ranges.contains { $0.lowerBound <= wanted.lowerBound && wanted.upperBound <= $0.upperBound }
    }
}
