/// How far the device has come in a queue: all that a snapshot has to keep besides guest memory and the layout.
public struct QueuePosition: Equatable, Sendable {
    /// The entry of the available ring that is taken next, counted from the beginning, modulo 2^16.
    public var nextAvailable: UInt16
    /// The entry of the used ring that is filled next.
    public var nextUsed: UInt16

    public init(nextAvailable: UInt16 = 0, nextUsed: UInt16 = 0) {
        self.nextAvailable = nextAvailable
        self.nextUsed = nextUsed
    }
}
