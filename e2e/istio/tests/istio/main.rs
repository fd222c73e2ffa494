//! Sluice in a real Istio: one chain for all tests, which run one after another and in any order.
//!
//! The runner is libtest-mimic, with the usual arguments (a part of a name, `--exact`, `--skip`,
//! `--list`). Rust's own cannot be it: the tests share what takes half a minute to start, and must
//! run in namespaces that are entered before anything else. Before each test, [`World::restore`]
//! puts right what the one before it left.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "tests, which Clippy does not recognise without Rust's own runner"
)]

mod aborts;
mod access;
mod apply;
mod autoscaled;
mod backup;
mod between;
mod blue_green;
mod brake;
mod brake_ends;
mod brake_key;
mod brake_mesh;
mod brake_network;
mod brake_rights;
mod chart;
mod claims;
mod commands;
mod contexts;
mod dashboards;
mod debounce;
mod doctor;
mod domains;
mod envoy_gateway;
mod examples;
mod filled;
mod git;
mod gitops;
mod guard;
mod handing_back;
mod history;
mod images;
mod import;
mod kubectl;
mod late;
mod module;
mod namespaces;
mod native;
mod plugins;
mod policy;
mod promotions;
mod readme;
mod releases;
mod remembered;
mod rollouts;
mod rollouts_lease;
mod rollouts_secrets;
mod sidecars;
mod speed;
mod speed_of_aborts;
mod speed_of_brakes;
mod speed_of_many;
mod speed_of_releases;
mod speed_of_rollbacks;
mod speed_of_rollouts;
mod traces;
mod trouble;
mod users;
mod workloads;
mod world;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Runtime;
use world::World;

type Test = for<'w> fn(&'w mut World) -> Pin<Box<dyn Future<Output = ()> + 'w>>;

macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => {
        [$((concat!(stringify!($module), "::", stringify!($name)), |world| Box::pin($module::$name(world)))),*]
    };
}

/// Every test. Those that only print figures, for up to ten minutes, run when they are asked for by
/// name: `ONLY=speed`, or more of it.
fn tests() -> impl IntoIterator<Item = (&'static str, Test)> {
    let tests: [(&str, Test); _] = tests![
        readme::its_commands_as_printed_give_a_sticky_part_of_users,
        plugins::a_pushed_module_splits_users_by_an_ordinary_virtual_service,
        plugins::a_traffic_extension_splits_users_too,
        plugins::of_two_plugins_none_is_guessed,
        plugins::what_render_prints_routes_no_request_to_nowhere,
        plugins::a_gateway_issues_a_cookie_and_keeps_its_promise,
        plugins::a_gateway_without_tls_is_named_and_its_lost_cookies_are_seen,
        plugins::what_a_gateway_no_longer_needs_is_deleted_without_the_meshs,
        plugins::an_http_route_splits_users_too,
        plugins::a_namespace_does_not_notice_another_ones_changes,
        images::what_a_key_signed_is_verified_and_anything_else_refused,
        images::an_image_brings_what_refers_to_it_also_where_nobody_lists_it,
        images::native_libraries_are_signed_and_verified_as_the_module_is,
        commands::every_command_knows_the_cluster,
        commands::a_split_that_moves_nobody_is_said_by_every_command,
        commands::a_match_that_is_null_is_refused_or_taken_away_and_said,
        commands::the_agents_port_has_its_metrics_and_envoys_has_not,
        commands::a_name_that_is_not_there_is_refused_with_the_nearest,
        commands::status_measures_the_shares_that_prometheus_has_seen,
        kubectl::the_plugin_acts_on_kubectls_cluster,
        kubectl::names_of_the_cluster_are_completed,
        dashboards::every_query_of_dashboards_and_alerts_says_something,
        traces::a_decision_is_a_tag_of_the_callers_span,
        guard::users_are_counted_once_over_six_proxies,
        guard::a_canary_that_fails_is_taken_out_and_status_names_the_proxies,
        rollouts::a_wrong_rollout_is_refused_with_the_words_of_validate,
        rollouts::what_is_declared_can_be_explained,
        rollouts::a_rollout_reaches_everybody_and_says_how,
        rollouts::a_run_begins_only_where_nobody_would_go_back,
        rollouts::a_step_waits_until_somebody_approves_it,
        rollouts::rings_get_it_one_after_the_other,
        rollouts::blue_green_previews_and_moves_everybody_at_once,
        rollouts::an_emergency_is_one_step,
        rollouts::a_hand_edit_pauses_the_run_and_says_who,
        rollouts::an_abort_by_the_command_line_ends_the_run_for_good,
        rollouts::another_version_begins_at_the_first_step_and_moves_nobody_twice,
        rollouts::a_missing_split_is_waited_for_and_nothing_moves,
        rollouts::a_guard_that_trips_ends_the_run,
        rollouts::a_canary_that_fails_some_requests_is_taken_back,
        rollouts::users_who_fail_take_a_canary_back,
        rollouts::a_canary_that_becomes_slow_is_taken_back,
        rollouts::a_query_of_ones_own_takes_a_slow_canary_back,
        rollouts::a_check_without_data_holds_until_there_is_some,
        rollouts::a_check_without_data_fails_where_the_spec_says_so,
        rollouts::a_run_is_held_while_prometheus_is_down_and_goes_on_when_it_is_back,
        rollouts::an_abort_takes_users_back_while_prometheus_is_down_or_hangs,
        rollouts::two_services_step_together_and_go_back_together,
        rollouts::of_two_rollouts_on_one_audience_one_waits,
        rollouts::a_namespace_whose_prometheus_hangs_holds_up_no_other,
        rollouts::a_window_holds_the_run_until_somebody_overrides_it,
        rollouts::a_window_holds_no_rollback,
        rollouts::a_gate_is_asked_before_each_step_and_holds_no_rollback,
        rollouts::users_move_from_an_ingress_to_the_mesh_and_back_when_the_mesh_is_worse,
        rollouts::without_istiod_and_prometheus_proxies_take_a_failing_canary_out,
        rollouts::what_people_say_to_a_run_is_obeyed_and_answered,
        rollouts::all_rollouts_are_listed_and_one_is_shown_with_its_proxies,
        rollouts::a_check_asks_the_clusters_prometheus_and_moves_nobody,
        rollouts::waiting_is_for_the_spec_as_it_is_now,
        rollouts::a_controller_killed_at_every_write_is_replaced_by_its_standby,
        rollouts::an_api_server_that_restarts_costs_a_run_nothing,
        rollouts::the_controllers_account_may_do_its_work_and_nothing_more,
        rollouts::an_account_of_one_namespace_suffices_for_it,
        rollouts::a_foreground_run_reaches_everybody_without_a_controller,
        rollouts::a_foreground_run_obeys_commands_and_is_one_process,
        rollouts::a_foreground_run_that_is_killed_goes_on_where_it_was,
        rollouts::a_foreground_run_takes_its_users_back,
        rollouts::a_foreground_run_leaves_a_controller_alone,
        rollouts::an_account_for_foreground_runs_needs_no_more_than_its_roles,
        brake::an_abort_is_in_force_everywhere_while_istiod_is_down,
        brake::a_released_brake_lets_the_weights_count_again,
        brake::an_abort_says_that_an_istiod_that_hangs_is_waited_for,
        brake::a_controller_that_dies_loses_no_brake_and_is_found_again,
        brake_key::without_the_api_server_the_key_brakes_every_proxy_and_nothing_else_does,
        brake_key::a_release_ends_what_the_key_braked_in_every_proxy,
        brake_key::a_controller_that_begins_without_the_api_server_brakes_by_the_key_too,
        brake_key::the_component_of_the_key_is_accepted_beside_the_controller,
        brake::what_is_gone_or_raised_again_ends_its_brake,
        brake::a_rollout_takes_its_users_back_past_istiod,
        brake::a_proxy_that_starts_hears_of_a_brake_before_its_zeros_are_written,
        brake::of_two_replicas_one_suffices_and_none_costs_nothing,
        brake::an_abort_counts_the_proxies_of_both_replicas_beside_many_brakes,
        claims::a_trip_that_a_standby_is_told_ends_the_run_without_prometheus,
        claims::a_lie_about_a_trip_costs_a_look_and_the_run_goes_on,
        brake_network::a_network_that_falls_silent_costs_no_request_and_no_brake,
        brake_network::a_controller_that_hangs_costs_no_request_and_no_brake,
        brake_network::a_service_that_nobody_knows_costs_no_request_and_no_brake,
        brake_network::a_controller_that_reads_no_brakes_any_more_is_not_ready,
        brake_mesh::the_shipped_policy_lets_proxies_ask_by_mutual_tls_and_do_nothing_else,
        brake_ends::an_abort_that_is_undone_before_istiod_pushes_leaves_no_brake,
        brake_ends::a_brake_of_a_plugin_that_is_gone_is_over,
        brake_rights::only_who_may_patch_both_kinds_of_a_plugin_may_touch_its_brakes,
        speed::a_change_is_in_force_on_six_proxies,
        speed::an_abort_ends_the_canary_under_load,
        apply::no_request_fails_while_a_split_is_applied_from_nothing,
        apply::what_would_be_refused_is_all_said_before_anything_is_applied,
        apply::routes_that_lead_everybody_to_no_pod_are_refused,
        apply::a_stopped_application_says_what_it_did_and_goes_on,
        debounce::status_says_that_a_change_waits_for_istiod,
        debounce::status_says_that_a_proxy_did_not_take_what_was_pushed,
        doctor::in_a_good_cluster_nothing_is_broken_and_versions_fit,
        doctor::what_is_wrong_with_an_istio_is_named,
        doctor::what_is_wrong_with_plugins_and_proxies_is_named,
        doctor::what_would_refuse_an_abort_is_named,
        doctor::what_rollouts_lack_is_named,
        doctor::what_a_prometheus_lacks_is_named,
        doctor::an_account_that_may_little_is_told_what_it_cannot_see,
        aborts::what_stands_in_the_way_of_an_abort_is_replaced,
        aborts::an_abort_that_no_proxy_obeys_is_said,
        aborts::one_plugin_that_no_proxy_reads_stops_no_other,
        aborts::full_annotations_cost_an_abort_its_note_only,
        aborts::an_abort_is_made_of_an_object_that_etcd_has_no_more_room_for,
        aborts::an_abort_is_one_change_and_asks_nothing_of_the_next,
        aborts::emptied_managed_fields_stop_neither_a_change_nor_an_abort,
        access::an_account_may_move_the_weights_of_its_namespace_only,
        access::an_abort_of_everything_goes_on_where_it_may_not,
        access::a_pod_uses_its_own_account,
        access::an_account_for_weights_may_change_nothing_else_of_a_wasm_plugin,
        access::an_account_for_weights_may_change_nothing_else_of_a_traffic_extension,
        access::without_the_right_to_remember_a_change_is_made_and_said,
        policy::weights_and_draws_that_hurt_others_are_refused,
        policy::what_stands_there_already_stops_no_abort,
        policy::a_thousand_splits_are_within_what_a_policy_may_cost,
        filled::annotations_and_managers_of_an_account_for_weights_are_bounded,
        filled::the_largest_configuration_that_is_accepted_is_read,
        filled::more_values_than_proxies_read_are_refused,
        filled::a_record_that_one_account_filled_denies_another_nothing,
        backup::a_restore_moves_everybody_back_and_says_what_differs_first,
        contexts::several_contexts_are_asked_at_once_and_one_that_is_down_holds_nobody_up,
        import::what_is_imported_is_taken_by_the_api_server,
        history::an_account_for_weights_writes_only_our_revisions_and_in_its_own_name,
        history::forged_revisions_are_not_gone_back_to,
        history::a_revision_that_was_written_in_advance_does_not_hide_the_change,
        domains::a_service_is_split_by_every_domain_that_istiod_gives_it,
        examples::the_jobs_of_both_pipelines_bring_a_commit_to_production,
        gitops::argo_cd_and_flux_know_how_a_rollout_does_and_its_actions_are_obeyed,
        git::applying_git_again_loses_no_weight,
        git::a_conflict_names_the_other_manager_and_what_force_does,
        git::what_another_manager_set_is_said_remembered_and_gone_back_to,
        git::weights_of_a_client_side_apply_are_warned_of_and_can_be_forgotten,
        git::an_abort_asks_no_other_manager,
        git::a_rollback_over_several_splits_is_whole_or_not_at_all,
        git::the_manifests_are_accepted_by_the_real_api_server,
        between::a_change_that_an_abort_overtook_is_refused,
        between::a_change_that_another_split_s_overtook_is_made,
        between::a_write_without_an_answer_is_looked_up,
        trouble::a_cluster_that_cannot_is_said,
        trouble::of_writers_at_once_each_gets_a_turn,
        trouble::only_the_last_fifty_changes_are_kept,
        trouble::a_killed_command_leaves_the_old_weights_or_the_new,
        trouble::an_api_server_that_restarts_is_said_and_costs_no_request,
        trouble::without_istiod_proxies_serve_on_and_status_says_who_has_not_followed,
        trouble::a_watched_status_pushes_again_what_was_overtaken,
        rollouts_lease::a_standby_leads_at_once_when_the_leader_ends,
        rollouts_lease::a_killed_leader_is_replaced_when_its_record_has_run_out,
        rollouts_lease::a_leader_that_is_cut_off_stops_before_another_begins,
        rollouts_lease::candidates_that_come_and_go_never_lead_at_the_same_time,
        rollouts_lease::a_lease_that_others_write_or_delete_costs_the_leader_nothing,
        rollouts_lease::a_leader_outlives_an_api_server_that_restarts_in_time,
        rollouts_lease::a_leader_without_an_api_server_stops_in_time,
        rollouts_secrets::a_controller_reads_secrets_of_the_namespace_alone,
        native::a_change_reaches_proxies_of_both_modules,
        native::an_abort_ends_the_canary_on_proxies_of_both_modules,
        native::an_upgrade_under_traffic_moves_nobody,
        native::users_keep_their_version_there_and_back,
        native::a_missing_file_costs_the_splits_not_the_traffic,
        native::a_file_that_is_no_module_costs_the_splits_not_the_traffic,
        native::a_module_of_another_abi_serves,
        native::a_module_that_is_fetched_is_there_after_the_next_push,
        native::a_controller_writes_what_is_annotated,
        native::an_annotation_that_is_nonsense_is_said_on_the_plugin,
        native::claims_are_read_by_the_native_module_too,
        native::a_controller_may_write_no_other_envoy_filter,
        module::a_wrong_digest_gives_everyone_stable_and_status_says_why,
        module::a_registry_that_is_down_costs_the_split_not_the_traffic,
        module::a_registry_that_asks_for_a_login_gets_dockers,
        module::a_module_that_is_not_ours_is_named,
        module::the_first_request_after_a_sidecars_start_is_decided,
        envoy_gateway::the_example_splits_users_by_envoy_gateway_itself,
        sidecars::a_pods_sidecar_has_its_accounts_identity_and_takes_mutual_tls_alone,
        workloads::a_deployment_is_reached_rolled_over_and_taken_away,
        workloads::pods_say_why_they_never_get_ready,
        workloads::autoscalers_and_disruption_budgets_are_obeyed,
        workloads::what_is_rendered_for_a_deployment_reaches_it_and_its_copy,
        releases::a_deployment_keeps_its_pods_until_routes_lead_to_its_copy,
        releases::a_release_is_another_image_and_costs_no_request,
        releases::a_rollback_loses_no_request_though_pods_exit_at_once,
        releases::a_hotfix_reaches_everyone_at_once_also_while_no_pod_of_the_copy_serves,
        releases::an_image_that_cannot_be_pulled_fails_the_run_and_moves_nobody,
        releases::another_image_in_a_run_takes_its_users_back_first,
        releases::a_controller_that_is_killed_again_and_again_finishes_the_release,
        handing_back::everything_is_handed_back_to_one_deployment_and_costs_no_request,
        handing_back::a_rollout_that_is_deleted_changes_nothing,
        remembered::a_copy_that_is_deleted_is_made_again_of_what_was_promoted,
        remembered::an_abort_while_the_copy_takes_the_new_version_loses_no_request,
        remembered::a_split_that_is_aborted_before_the_copy_takes_the_new_version_is_not_promoted,
        remembered::a_deployment_that_is_deleted_in_a_run_gives_its_users_back,
        handing_back::a_run_waits_for_its_routes_and_replicas_taken_out_of_git_cost_nobody,
        autoscaled::the_copy_is_scaled_as_the_deployment_is_and_a_release_costs_no_request,
        autoscaled::an_autoscaler_that_allows_less_is_left_alone_and_nobody_is_moved,
        remembered::a_former_template_goes_straight_to_everyone_and_costs_no_request,
        remembered::a_cluster_that_is_made_anew_from_git_judges_the_only_template_by_a_run,
        blue_green::clients_without_a_header_change_over_with_everyone_and_lose_no_request,
        blue_green::a_service_that_git_sets_back_is_left_so_and_said,
        blue_green::a_controller_that_is_killed_again_and_again_moves_every_client,
        blue_green::handing_back_gives_both_services_every_pod_again,
        chart::the_kustomize_base_is_what_the_chart_gives,
        chart::a_value_that_is_wrong_is_refused_with_what_is_accepted,
        chart::no_two_objects_have_one_name_whatever_namespaces_are_called,
        chart::a_network_policy_names_the_ports_of_pods_and_alerts_link_to_pages,
        chart::everything_that_may_be_installed_is_accepted_by_the_api_server,
        chart::an_upgrade_an_uninstall_and_an_install_lose_no_weight_and_move_no_user,
        chart::a_controller_of_listed_namespaces_may_do_nothing_elsewhere,
        chart::what_the_monitors_name_is_found_by_a_real_prometheus,
        chart::what_kustomize_applied_is_taken_over_by_helm,
        promotions::what_was_promoted_in_one_namespace_is_what_git_should_say_in_another,
    ];
    let figures: [(&str, Test); _] = tests![
        speed::an_abort_in_a_burst_of_other_changes,
        speed::resources_applied_at_once_or_by_sluice,
        speed_of_many::an_abort_and_a_change_of_a_thousand_plugins,
        speed_of_many::an_abort_of_a_thousand_splits,
        speed_of_rollbacks::a_bad_answer_that_prometheus_has_ends_the_canary,
        speed_of_aborts::an_abort_by_the_brake,
        speed_of_releases::a_release_and_ten_rollbacks,
        speed_of_rollouts::ten_thousand_rollouts_of_one_controller,
        speed_of_brakes::ten_thousand_proxies_hear_of_a_brake,
    ];
    let is_asked_for = std::env::args().any(|argument| argument.contains("speed"));
    tests
        .into_iter()
        .chain(figures.into_iter().filter(move |_| is_asked_for))
}

fn main() {
    if std::env::args().any(|argument| argument == "--hold") {
        namespaces::enter();
        return hold();
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    if arguments.list {
        libtest_mimic::run(&arguments, trials(None)).exit();
    }
    if part_of(&arguments, trials(None)).is_empty() {
        return println!("no test of this part");
    }
    namespaces::enter();
    let shared = Arc::new(Mutex::new(start()));
    let trials = part_of(&arguments, trials(Some(&shared)));
    let conclusion = libtest_mimic::run(&arguments, trials);
    let shared = Arc::into_inner(shared).expect("the last one who holds the world");
    let (runtime, world) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    let _inside = runtime.enter();
    world.end(conclusion.has_failed());
    conclusion.exit();
}

type Shared = Arc<Mutex<(Runtime, World)>>;

/// Every test as the runner takes it. Without a world, they can be listed and not run.
fn trials(shared: Option<&Shared>) -> Vec<Trial> {
    let written = tests().into_iter();
    let written = written.map(|(name, test)| trial(shared, name.to_owned(), test));
    let examples = examples::names().into_iter().map(|example| {
        let name = format!("examples::{example}");
        trial(shared, name, async move |world: &mut World| {
            examples::follow(world, &example).await;
        })
    });
    written.chain(examples).collect()
}

/// A test as the runner takes it.
fn trial<T>(shared: Option<&Shared>, name: String, test: T) -> Trial
where
    T: AsyncFnOnce(&mut World) + Send + 'static,
{
    let shared = shared.cloned();
    Trial::test(name, move || {
        let shared = shared.expect("a world to run in");
        // A test that failed has poisoned it; what it left behind is put right like anything else.
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (runtime, world) = &mut *shared;
        runtime.block_on(async {
            world.restore().await;
            test(world).await;
        });
        Ok(())
    })
}

/// How the names of tests begin that count within seconds which proxies have answered: they run alone.
const ALONE: &str = "brake";

/// The part of the tests that this process runs, of those that its arguments ask for: `2/3` in
/// SLUICE_ISTIO_PART is every third one, from the second on, and `alone` those that run beside no other
/// part; without it, all of them.
fn part_of(arguments: &Arguments, mut trials: Vec<Trial>) -> Vec<Trial> {
    let Ok(part) = std::env::var("SLUICE_ISTIO_PART") else {
        return trials;
    };
    trials.retain(|trial| is_wanted(arguments, trial));
    if part == "alone" {
        trials.retain(|trial| trial.name().starts_with(ALONE));
        return trials;
    }
    trials.retain(|trial| !trial.name().starts_with(ALONE));
    let (number, of) = part.split_once('/').expect("a part such as 1/2");
    let [number, of] = [number, of].map(|text| text.parse::<usize>().expect("a number"));
    let mut at = 0;
    trials.retain(|_| {
        at += 1;
        at % of == number % of
    });
    trials
}

/// Whether the arguments ask for a test, as the runner reads them.
fn is_wanted(arguments: &Arguments, trial: &Trial) -> bool {
    let is = |pattern: &str| match arguments.exact {
        true => trial.name() == pattern,
        false => trial.name().contains(pattern),
    };
    let is_skipped = arguments.skip.iter().any(|skipped| is(skipped));
    !is_skipped && arguments.filter.as_deref().is_none_or(is)
}

fn start() -> (Runtime, World) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::start());
    (runtime, world)
}

/// Keeps the world up for somebody who wants to look around, until Ctrl-C.
fn hold() {
    let (runtime, world) = start();
    runtime.block_on(async {
        world.fresh_plugin("a", 10).await;
        println!(
            "enter it with: nsenter --target $(pgrep -n kube-apiserver) --net --mount\nexport KUBECONFIG={}",
            world.chain.folder().join("admin.kubeconfig").display()
        );
        tokio::signal::ctrl_c().await.unwrap();
        world.end(false);
    });
}
