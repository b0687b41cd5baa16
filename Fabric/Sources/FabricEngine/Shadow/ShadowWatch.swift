import AgentProtocol
public import FabricProtocol
import LinuxCalls
public import WireFormats
import Wiring

/// Looks at the ends of an appliance and of its shadow for a time, and tells what each let through. In the fabric's network namespace.
public enum ShadowWatch {
    /// What is still under way in them may leave them so much later.
    private static let graceNanoseconds: UInt64 = 500_000_000

    /// - Parameters:
    ///   - present: the inner and outer end of the appliance in line.
    ///   - shadow: those of the other.
    public static func compare(
        present: (inside: UInt16, outside: UInt16), shadow: (inside: UInt16, outside: UInt16), milliseconds: UInt64
    ) throws(FabricFault) -> JSONValue {
        do throws(LinuxError) {
            var links = try Links()
            let ends = [
                try tap(present.inside, &links), try tap(present.outside, &links), try tap(shadow.inside, &links),
                try tap(shadow.outside, &links),
            ]
            let begin = Clock.monotonic.nanoseconds()
            let end = begin + milliseconds * 1_000_000
            var comparison = ShadowComparison()
            while true {
                let now = Clock.monotonic.nanoseconds()
                if now >= end + graceNanoseconds { break }
                var isIdle = true
                for place in ends.indices {
                    // Those of one end do not keep the others waiting.
                    for _ in 0..<64 {
                        guard let (bytes, length, isSent) = ends[place].next() else { break }
                        isIdle = false
                        guard let frame = FrameIdentity(bytes, length: length) else { continue }
                        let isInner = place % 2 == 0
                        if isSent {
                            if place < 2, now < end { comparison.enters(frame, isOutward: isInner) }
                        } else {
                            comparison.leaves(frame, isOutward: !isInner, place < 2 ? .present : .shadow)
                        }
                    }
                }
                if isIdle { sleep(nanoseconds: 1_000_000) }
            }
            for place in ends.indices { comparison.unseen += UInt64(ends[place].takeLost()) }
            return comparison.result()
        } catch {
            throw FabricFault("what goes through appliances cannot be looked at: \(error)")
        }
    }

    private static func tap(_ port: UInt16, _ links: inout Links) throws(LinuxError) -> FrameTap {
        guard let link = try links.find(ByteString(FabricPort.tap(port))) else { throw .noDevice }
        return try FrameTap(link.index)
    }
}
