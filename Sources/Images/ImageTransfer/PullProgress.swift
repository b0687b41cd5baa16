public import Archives
public import ImageStore
import OCIImages
import Synchronization

/// How far a pull has come.
public struct PullProgress: Equatable, Sendable {
    public struct Layer: Equatable, Sendable {
        public let digest: SHA256Digest
        public let sizeBytes: UInt64
        /// Goes back to zero when a layer has to come again.
        public internal(set) var doneBytes: UInt64 = 0
    }

    /// Each once, the lowest first.
    public internal(set) var layers: [Layer]
    /// Set when all layers are there and the disk is being made of them.
    public internal(set) var conversion: ImportProgress?

    public var doneBytes: UInt64 { layers.reduce(0) { $0 + $1.doneBytes } }
    public var sizeBytes: UInt64 { layers.reduce(0) { $0 + $1.sizeBytes } }
}

/// Gathers what concurrent downloads tell.
final class PullMeter: Sendable {
    private let state: Mutex<PullProgress>
    private let report: @Sendable (PullProgress) -> Void

    /// - Parameter others: what comes besides, for other platforms.
    init(
        _ layers: [OCIImage.Layer], others: [OCIImageParts.Part],
        _ report: @escaping @Sendable (PullProgress) -> Void
    ) {
        var known: Set<SHA256Digest> = []
        let parts = layers.map { ($0.digest, $0.sizeBytes) } + others.map { ($0.digest, $0.sizeBytes) }
        state = Mutex(
            PullProgress(
                layers: parts.filter { known.insert($0.0).inserted }
                    .map { PullProgress.Layer(digest: $0.0, sizeBytes: $0.1) }))
        self.report = report
    }

    func set(_ digest: SHA256Digest, _ doneBytes: UInt64) {
        tell { progress in
            guard let index = progress.layers.firstIndex(where: { $0.digest == digest }) else { return }
            progress.layers[index].doneBytes = doneBytes
        }
    }

    func convert(_ conversion: ImportProgress) { tell { $0.conversion = conversion } }

    private func tell(_ change: (inout PullProgress) -> Void) {
        state.withLock {
            change(&$0)
            report($0)
        }
    }
}
