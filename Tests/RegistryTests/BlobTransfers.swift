import Synchronization

@testable import Registry

/// What tests of downloads have in common: a blob, a registry that has it, and a download of it.
protocol BlobTransfers {}

private let longBlob = content(900_000)

extension BlobTransfers {
    var bytes: [UInt8] { longBlob }
    var path: String { "/v2/a/b/blobs/\(descriptor(bytes).digest)" }

    func registry(
        _ handler: @escaping @Sendable (ServerRequest, ServerConnection) -> LoopbackServer.Next
    ) throws -> MisbehavingRegistry {
        try MisbehavingRegistry { request, connection in
            request.path.hasPrefix("/v2/a/b/blobs/") ? handler(request, connection) : nil
        }
    }

    func download(
        _ settings: RegistrySettings = quickSettings(), from registry: borrowing MisbehavingRegistry,
        to sink: any BlobSink = BlobMemory(), of blob: Descriptor? = nil
    ) async throws -> RegistryError? {
        let reference = try registry.reference()
        do {
            try await client(settings).download(blob ?? descriptor(bytes), of: reference, to: sink)
            return nil
        } catch {
            return error
        }
    }
}

/// Sends what was asked for, or the whole, and leaves out what is behind `most` bytes.
@Sendable func sendBlob(
    _ bytes: [UInt8], _ request: ServerRequest, _ connection: ServerConnection, most: Int = .max
) -> LoopbackServer.Next {
    let start = request.headers["range"].flatMap { Int($0.dropFirst("bytes=".count).dropLast()) } ?? 0
    let rest = Array(bytes[start...])
    let status = start > 0 ? "206 Partial Content" : "200 OK"
    let range = start > 0 ? "Content-Range: bytes \(start)-\(bytes.count - 1)/\(bytes.count)\r\n" : ""
    connection.send("HTTP/1.1 \(status)\r\n\(range)Content-Length: \(rest.count)\r\n\r\n")
    connection.send(Array(rest.prefix(most)))
    return rest.count > most ? .close : .keep
}
