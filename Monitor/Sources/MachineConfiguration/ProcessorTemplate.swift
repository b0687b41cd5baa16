/// How what a guest is told of its processors differs from what this host can tell it: Firecracker's custom CPU template.
///
/// Trust: the user's. Whether the host's KVM has what is named is found out when the machine is built.
public struct ProcessorTemplate: Equatable, Sendable {
    /// The most entries of each kind: more than any processor has.
    public static let maximumEntries = 512

    /// The bits to be replaced, and what they become.
    public struct Bits: Equatable, Sendable {
        public var mask: UInt64
        public var value: UInt64

        public init(mask: UInt64 = 0, value: UInt64 = 0) {
            self.mask = mask
            self.value = value
        }

        public func applied(to before: UInt64) -> UInt64 { before & ~mask | value }
    }

    /// One register: of a leaf of CPUID, eax, ebx, ecx or edx (0 to 3); or a model-specific one.
    public struct Change: Equatable, Sendable {
        /// The leaf, or the model-specific register's number.
        public var number: UInt32
        public var subleaf: UInt32 = 0
        public var flags: UInt32 = 0
        public var register = 0
        public var bits: Bits

        public init(_ number: UInt32, subleaf: UInt32 = 0, flags: UInt32 = 0, register: Int = 0, bits: Bits) {
            self.number = number
            self.subleaf = subleaf
            self.flags = flags
            self.register = register
            self.bits = bits
        }
    }

    /// What KVM must be capable of, by its numbers.
    public var capabilities: [UInt32] = []
    public var leaves: [Change] = []
    public var modelRegisters: [Change] = []

    public init() {}

    public var isEmpty: Bool { capabilities.isEmpty && leaves.isEmpty && modelRegisters.isEmpty }
}
