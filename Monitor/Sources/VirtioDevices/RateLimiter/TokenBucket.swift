/// Tokens that are spent as work is done and come back by and by. Nothing but arithmetic: the time is given.
///
/// Work may begin while there is a token; what it costs beyond what there is is owed, and nothing begins before it is
/// paid back. So the rate holds whatever the size of one piece, and the overshoot is at most one piece.
struct TokenBucket {
    let size: UInt64
    let refillNanoseconds: UInt64
    private var burst: UInt64
    /// Negative: owed.
    private var tokens: Int64
    private var updated: UInt64

    /// A full one.
    /// - Parameters:
    ///   - burst: there besides at the beginning, and spent first.
    ///   - refillNanoseconds: how long it takes to fill it from empty; not zero.
    init(size: UInt64, burst: UInt64, refillNanoseconds: UInt64, now: UInt64) {
        self.size = min(size, UInt64(Int64.max) / 2)
        self.refillNanoseconds = max(refillNanoseconds, 1)
        self.burst = burst
        tokens = Int64(self.size)
        updated = now
    }

    /// Whether work may begin.
    var isOpen: Bool { burst > 0 || tokens > 0 }

    /// Takes what a piece of work costs.
    mutating func spend(_ amount: UInt64) {
        let fromBurst = min(burst, amount)
        burst &-= fromBurst
        let (rest, overflow) = tokens.subtractingReportingOverflow(Int64(clamping: amount &- fromBurst))
        tokens = overflow ? .min / 2 : max(rest, .min / 2)
    }

    /// Puts in what has come back since the last time.
    mutating func refill(now: UInt64) {
        guard now > updated else { return }
        let elapsed = now &- updated
        let missing = UInt64(Int64(size) &- tokens)
        if missing == 0 {
            updated = now
            return
        }
        // Less than one token is left to ripen.
        let (high, low) = size.multipliedFullWidth(by: elapsed)
        guard high < refillNanoseconds else {
            tokens = Int64(size)
            updated = now
            return
        }
        let earned = refillNanoseconds.dividingFullWidth((high, low)).quotient
        if earned == 0 { return }
        if earned >= missing {
            tokens = Int64(size)
            updated = now
        } else {
            tokens &+= Int64(earned)
            // The time that these took, rounded up so that no token is given twice.
            let used = size.dividingFullWidth(refillNanoseconds.multipliedFullWidth(by: earned))
            updated = min(now, updated &+ used.quotient &+ (used.remainder > 0 ? 1 : 0))
        }
    }

    /// How long it takes until the next piece may begin.
    var waitNanoseconds: UInt64 {
        if isOpen { return 0 }
        let needed = UInt64(1 &- tokens)
        let (high, low) = refillNanoseconds.multipliedFullWidth(by: needed)
        guard high < size else { return .max / 2 }
        let wait = size.dividingFullWidth((high, low))
        return wait.quotient &+ (wait.remainder > 0 ? 1 : 0)
    }
}
