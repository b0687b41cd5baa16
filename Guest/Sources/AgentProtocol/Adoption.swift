import WireFormats

/// Who carries the streams of a process that runs already: all its outputs, and its input unless that is to end.
public struct Adoption: Equatable, Sendable {
    /// A terminal gets this size.
    public var streams: Start.Streams
    public var streamOrigin: Start.StreamOrigin
    /// What the streams' connections show from now on.
    public var token: Token

    public init(streams: Start.Streams, streamOrigin: Start.StreamOrigin, token: Token) {
        self.streams = streams
        self.streamOrigin = streamOrigin
        self.token = token
    }

    func encode(into writer: inout LittleEndianWriter) { streams.encode(into: &writer, streamOrigin, token) }

    init(from reader: inout MessageReader) {
        streams = Start.Streams(from: &reader)
        streamOrigin = Start.StreamOrigin(from: &reader)
        token = Token(from: &reader)
    }
}
