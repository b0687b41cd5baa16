import KVMHost
public import Snapshots

extension MachineShell {
    /// Whether processors that were saved could go on here; no machine is made of them.
    public func judge(_ state: MachineState) throws(MachineError) {
        let speed: UInt32
        do throws(KVMError) { speed = try makeProcessor(0).counterKilohertz } catch { throw .kvm(error) }
        try judgeFeatures(state)
        do throws(SnapshotError) {
            for processor in state.processors {
                try ProcessorCompatibility.judge(counterKilohertz: processor.counterKilohertz, speed)
            }
        } catch { throw .snapshot(error) }
    }

    /// Whether these processors have the features here that they were told of. What speaks against it is asked for twice: in
    /// the emulated host one restore in some hundreds found features missing that were there for all others.
    func judgeFeatures(_ state: MachineState) throws(MachineError) {
        do throws(SnapshotError) {
            for processor in state.processors {
                do throws(SnapshotError) {
                    try ProcessorCompatibility.judge(processor.identification, supported)
                } catch {
                    guard let again = try? system.supportedCPUID().copyLeaves() else { throw error }
                    try ProcessorCompatibility.judge(processor.identification, again)
                }
            }
        } catch { throw .snapshot(error) }
    }
}
