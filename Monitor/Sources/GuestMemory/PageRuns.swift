/// Pages of a memory image, as runs in rising order that do not touch each other.
public struct PageRuns: Equatable, Sendable {
    /// Pages of 4 KiB; 32 bits of them are 16 TiB.
    public struct Run: Equatable, Sendable {
        public let first: UInt32
        public fileprivate(set) var count: UInt32

        public init(first: UInt32, count: UInt32) {
            self.first = first
            self.count = count
        }

        /// The first page behind it.
        var end: UInt64 { UInt64(first) &+ UInt64(count) }
    }

    public private(set) var runs: [Run] = []

    public init() {}

    public var isEmpty: Bool { runs.isEmpty }

    public var pageCount: UInt64 { runs.reduce(0) { $0 &+ UInt64($1.count) } }

    /// Adds a run behind all others.
    /// - Returns: false, and nothing is changed, when it is empty, overlaps what is there or lies before it.
    @discardableResult
    public mutating func append(_ run: Run) -> Bool {
        guard run.count > 0, run.end <= UInt64(UInt32.max) else { return false }
        if let last = runs.last {
            guard last.end <= UInt64(run.first) else { return false }
            if last.end == UInt64(run.first) {
                runs[runs.count - 1].count &+= run.count
                return true
            }
        }
        runs.append(run)
        return true
    }

    /// The pages of both.
    public func union(_ other: PageRuns) -> PageRuns {
        var result = PageRuns()
        var left = runs[...]
        var right = other.runs[...]
        while true {
            let next: Run
            switch (left.first, right.first) {
            case (nil, nil): return result
            case (let run?, nil):
                next = run
                left.removeFirst()
            case (nil, let run?):
                next = run
                right.removeFirst()
            case (let one?, let two?):
                if one.first <= two.first {
                    next = one
                    left.removeFirst()
                } else {
                    next = two
                    right.removeFirst()
                }
            }
            result.merge(next)
        }
    }

    /// Adds a run that begins no earlier than the last one.
    private mutating func merge(_ run: Run) {
        guard let last = runs.last, last.end >= UInt64(run.first) else { return runs.append(run) }
        if run.end > last.end { runs[runs.count - 1].count &+= UInt32(truncatingIfNeeded: run.end &- last.end) }
    }
}
