import WireFormats

/// What runs in the guest, or a piece of it.
public struct ProcessList: Equatable, Sendable {
    /// One process, without its threads, as the guest's kernel tells of it.
    public struct Entry: Equatable, Sendable {
        public var identifier: UInt32
        public var parent: UInt32
        /// Whose rights it has.
        public var user: UInt32
        /// A letter. Source: proc_pid_stat(5).
        public var state: UInt8
        public var threads: UInt32
        /// Used since it was started.
        public var processorNanoseconds: UInt64
        /// Memory that is its own or shared, and there.
        public var residentBytes: UInt64
        /// After the kernel.
        public var startedNanoseconds: UInt64
        /// Its arguments with blanks between them, cut off; its name in brackets where it has none.
        public var command: ByteString

        public init(
            identifier: UInt32, parent: UInt32, user: UInt32, state: UInt8, threads: UInt32,
            processorNanoseconds: UInt64, residentBytes: UInt64, startedNanoseconds: UInt64, command: ByteString
        ) {
            self.identifier = identifier
            self.parent = parent
            self.user = user
            self.state = state
            self.threads = threads
            self.processorNanoseconds = processorNanoseconds
            self.residentBytes = residentBytes
            self.startedNanoseconds = startedNanoseconds
            self.command = command
        }
    }

    /// In the order of their identifiers.
    public var entries: [Entry]
    public var isLast: Bool

    public init(_ entries: [Entry], isLast: Bool) {
        self.entries = entries
        self.isLast = isLast
    }

    func encode(into writer: inout LittleEndianWriter) {
        writer.writeList(entries) { writer, entry in
            writer.write(entry.identifier)
            writer.write(entry.parent)
            writer.write(entry.user)
            writer.write(entry.state)
            writer.write(entry.threads)
            writer.write(entry.processorNanoseconds)
            writer.write(entry.residentBytes)
            writer.write(entry.startedNanoseconds)
            writer.write(entry.command)
        }
        writer.write(UInt8(isLast ? 1 : 0))
    }

    init(from reader: inout MessageReader) {
        entries = reader.list(.processes, atMost: Limits.listedProcesses) { reader in
            Entry(
                identifier: reader.integer(), parent: reader.integer(), user: reader.integer(),
                state: reader.integer(), threads: reader.integer(), processorNanoseconds: reader.integer(),
                residentBytes: reader.integer(), startedNanoseconds: reader.integer(),
                command: reader.string(.command, atMost: Limits.listedCommandBytes))
        }
        isLast = reader.boolean()
    }
}
