import Archives

/// The JSON documents of an image, with the fields that are used here. Every value is foreign until it is checked.
///
/// Source: OCI image-spec, descriptor.md, image-index.md, manifest.md, config.md.
enum OCIDocuments {
    /// The most bytes that an index, a manifest or a configuration may have; registries stop at 4 MiB.
    static let maximumBytes: UInt64 = 4 << 20

    struct Descriptor: Decodable {
        struct Platform: Decodable {
            let architecture: String?
            let os: String?
            let variant: String?

            var text: String { [os, architecture, variant].compactMap(\.self).joined(separator: "/") }
        }

        let mediaType: String?
        let digest: String
        let size: Int64
        let platform: Platform?
        let annotations: [String: String]?

        /// What a person calls the image, as `skopeo copy … oci:folder:name` writes it.
        var referenceName: String? { annotations?["org.opencontainers.image.ref.name"] }

        /// What Docker and containerd call it, whole.
        var containerdName: String? { annotations?["io.containerd.image.name"] }

        /// Whether it leads to signatures of an image: as cosign marks them in a layout, or as it names them in a repository.
        /// Source: sigstore/cosign pkg/oci/layout, specs/SIGNATURE_SPEC.md.
        var isSignatures: Bool {
            if annotations?["kind"] == "dev.cosignproject.cosign/sigs" { return true }
            guard let name = referenceName, name.hasPrefix("sha256-"), name.hasSuffix(".sig") else { return false }
            return SHA256Digest(hex: name.dropFirst(7).dropLast(4)) != nil
        }

        var isIndex: Bool { mediaType.map(OCIMediaType.isIndex) ?? false }
    }

    struct Index: Decodable {
        let mediaType: String?
        let manifests: [Descriptor]
    }

    struct Manifest: Decodable {
        let mediaType: String?
        /// Set in what is no image of a container.
        let artifactType: String?
        let config: Descriptor
        let layers: [Descriptor]
    }

    /// An object whose keys alone mean something: `{"80/tcp": {}}`.
    struct KeySet: Decodable {
        private struct Nothing: Decodable {}
        let keys: [String]

        init(from decoder: any Decoder) throws {
            keys = try decoder.singleValueContainer().decode([String: Nothing].self).keys.sorted()
        }
    }

    /// Source: Docker Engine API, "HealthConfig"; OCI reserves the field's name.
    struct HealthCheck: Decodable {
        let test: [String]?
        /// Nanoseconds, all four; zero means the usual.
        let interval: Int64?
        let timeout: Int64?
        let startPeriod: Int64?
        let startInterval: Int64?
        let retries: Int64?

        enum CodingKeys: String, CodingKey {
            case test = "Test"
            case interval = "Interval"
            case timeout = "Timeout"
            case startPeriod = "StartPeriod"
            case startInterval = "StartInterval"
            case retries = "Retries"
        }
    }

    struct Configuration: Decodable {
        struct Program: Decodable {
            let user: String?
            let environment: [String]?
            let entrypoint: [String]?
            let command: [String]?
            let workingDirectory: String?
            let labels: [String: String]?
            let exposedPorts: KeySet?
            let volumes: KeySet?
            let stopSignal: String?
            let healthCheck: HealthCheck?

            enum CodingKeys: String, CodingKey {
                case user = "User"
                case environment = "Env"
                case entrypoint = "Entrypoint"
                case command = "Cmd"
                case workingDirectory = "WorkingDir"
                case labels = "Labels"
                case exposedPorts = "ExposedPorts"
                case volumes = "Volumes"
                case stopSignal = "StopSignal"
                case healthCheck = "Healthcheck"
            }
        }

        struct RootFileSystem: Decodable {
            /// Digests of the layers' plain tars.
            let layerDigests: [String]

            enum CodingKeys: String, CodingKey {
                case layerDigests = "diff_ids"
            }
        }

        let architecture: String?
        let os: String?
        let program: Program?
        let rootFileSystem: RootFileSystem?

        enum CodingKeys: String, CodingKey {
            case architecture, os
            case program = "config"
            case rootFileSystem = "rootfs"
        }
    }

    /// What a configuration says besides what a run wants to know.
    struct Description: Decodable {
        struct Step: Decodable {
            let created: String?
            let command: String?
            let comment: String?
            let author: String?
            let isEmpty: Bool?

            enum CodingKeys: String, CodingKey {
                case created, comment, author
                case command = "created_by"
                case isEmpty = "empty_layer"
            }
        }

        var architecture: String?
        var os: String?
        var variant: String?
        var created: String?
        var author: String?
        var history: [Step]?
        var rootFileSystem: Configuration.RootFileSystem?

        enum CodingKeys: String, CodingKey {
            case architecture, os, variant, created, author, history
            case rootFileSystem = "rootfs"
        }
    }
}
